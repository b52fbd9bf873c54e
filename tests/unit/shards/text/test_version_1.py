"""An index that was made by earlier rules is read by them: its labels belong to the text that they gave."""

import pytest

from shards.drops import Rejected
from shards.errors import ShardsError
from shards.tars.sample import SampleParser
from shards.text_rules import load_rules

# As `shards index` wrote it before rules had a version.
OF_VERSION_1 = {
    "form": "NFKC",
    "lower": True,
    "replace": {"ـ": ""},
    "apostrophes": "inside",
    "hyphens": "space",
    "joiners": "drop",
    "numbers": "drop",
}


def text_of(raw, **rules):
    reading = {"text_field": None, "normalise": True, "text_rules": rules}
    return SampleParser.of("und", reading).normalise(raw)


@pytest.mark.parametrize(
    ("raw", "rules", "expected"),
    [
        ("togʻ K’iche’", {}, "togʻ k'iche"),
        ("col·legi Ո՛չ", {}, "col legi ո չ"),
        ("İ", {}, "i\u0307"),
        ("ہم\u200cنوا", {}, "ہمنوا"),
        ("um 1 Uhr 007", {"numbers": "de"}, "um eins uhr sieben"),
        ("gʷ ทำ", {}, "gw ท\u0e4dา"),
        ("IŞIK", {"replace": {"I": "ı", "İ": "i"}}, "ışık"),
        ("Hawai'i", {"apostrophes": "anywhere", "replace": {"'": "ʻ"}}, "hawaiʻi"),
    ],
)
def test_stored_rules_of_version_1_give_the_text_that_they_gave(raw, rules, expected):
    assert text_of(raw, **OF_VERSION_1 | rules) == expected


def test_stored_rules_of_version_1_refuse_what_they_refused():
    for raw, reason in (("5", "numbers"), ("a & b", "unsupported_characters"), ("[a]", "markup"), ("'", "empty")):
        with pytest.raises(Rejected) as rejected:
            text_of(raw, **OF_VERSION_1)
        assert rejected.value.reason == reason


@pytest.mark.parametrize("code", ["und", "eng", "hau", "cat", "haw", "che"])
def test_stored_rules_of_today_are_those_of_the_table(code):
    import json

    stored = json.loads(json.dumps(load_rules(code).as_dict()))
    assert stored == load_rules(code).as_dict()
    assert text_of("Don’t İ", **stored) == text_of("Don’t İ", **load_rules(code).as_dict())


@pytest.mark.parametrize("stored", [OF_VERSION_1 | {"version": 99}, OF_VERSION_1 | {"unheard": "of"}])
def test_stored_rules_of_a_later_version_are_refused(stored):
    with pytest.raises(ShardsError, match=r"expected 2 or earlier.*shards index --force"):
        text_of("a", **stored)
