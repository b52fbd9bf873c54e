"""A survey shows what the rules make of a language's transcripts, and suggests rules that do what they say."""

import pytest

from shards.text import TextNormaliser
from shards.text.look_alikes import look_alikes
from shards.text.suggestions import suggested_rules
from shards.text.survey import TextSurvey
from shards.text_rules import RuleOptions, load_rules

TEXTS = [
    *["Ana are mere și pere"] * 6,
    "cаsă mаre, „frumoasă” — da…",  # with Cyrillic а
    "în 1999 s-a născut, la 12.5 km",
    "[noise] bună [Râde] ziua",
    "rock & roll",
    "olé ☃ ",
    "слово podcast",
]


def survey_of(texts, language="ron", seconds=None):
    survey = TextSurvey(language, load_rules(language))
    for number, text in enumerate(texts):
        survey.add(text, f"clip{number}", None if seconds is None else seconds[number])
    return survey


def test_every_transcript_is_counted_once_as_used_or_by_reason():
    survey = survey_of(TEXTS)
    assert (survey.texts, survey.usable) == (12, 8)
    assert {reason: entry["count"] for reason, entry in survey.drops.as_dict().items()} == {
        "markup": 1,
        "numbers": 1,
        "unsupported_characters": 2,
    }
    assert survey.kept["a"] == sum(text.count("a") for text in normalised_texts(TEXTS))


def normalised_texts(texts):
    normalise = TextNormaliser(load_rules("ron"))
    return [normalise(text) for text in [*texts[:7], texts[-1]]]


def test_characters_are_told_by_what_becomes_of_them():
    survey = survey_of(TEXTS)
    lost = survey.lost()
    assert {lost[sign] for sign in ",„”—…[]"} == {" "}
    assert survey.refused == {"&": 1, "☃": 1}
    assert "a" not in lost and "ș" not in lost
    assert {"f", "ă"} < set(survey.rare())
    assert "a" not in survey.rare()
    assert survey.example_words["f"] == "frumoasă"
    assert survey.seen["☃"] == 1
    assert survey_of(["a\u00adb"]).lost()["\u00ad"] == ""


def test_mixed_scripts_numbers_and_markup_are_listed():
    survey = survey_of([*TEXTS, "42"], "deu")
    assert survey.mixed == 2
    assert survey.mixed_words == {"cаsă": 1, "mаre": 1}
    assert survey.numbers == {"1999": 1, "12.5": 1}
    assert survey.spelled == 1
    assert survey.markup == {"noise": 1, "râde": 1}


def test_look_alikes_are_letters_that_are_nowhere_right():
    assert survey_of(TEXTS).look_alikes() == {"а": "a"}
    assert survey_of([*TEXTS, "мама дома"]).look_alikes() == {}, "а is right in мама"
    assert survey_of(["мама cказала"] * 3, "rus").look_alikes() == {"c": "с"}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"ی": 90, "ي": 3, "ا": 50}, {"ي": "ی"}),
        ({"ی": 50, "ي": 50}, {}),
        ({"a": 9, "б": 1}, {}),
        ({"ο": 50, "o": 1}, {"o": "ο"}),
        ({}, {}),
    ],
)
def test_of_letters_of_one_script_only_a_rare_one_is_a_mistake(counts, expected):
    assert look_alikes(counts) == expected


def test_lengths_far_from_the_others_are_shown():
    survey = survey_of(["ana are mere"] * 10 + ["a", "ana are mere " * 9], seconds=[1.0] * 12)
    (lengths,) = survey.lengths()
    assert (lengths.unit, lengths.median, lengths.suspicious) == ("letters a second", 10.0, 2)
    assert lengths.low == [(1.0, "clip10")]
    assert lengths.high == [(90.0, "clip11")]
    assert survey_of(["ana"]).lengths()[0].unit == "letters"
    assert survey_of(["!"]).lengths() == []


def test_suggested_rules_can_be_pasted_and_do_what_they_say(tmp_path):
    survey = survey_of(TEXTS)
    table = tmp_path / "rules.yaml"
    table.write_text("\n".join(["languages:", *suggested_rules(survey)]) + "\n", encoding="utf-8")
    rules = load_rules("ron", RuleOptions(table))
    normalise = TextNormaliser(rules)
    assert normalise("CАSĂ cаsă") == "casă casă"
    assert normalise("[noise] bună [Râde] ziua") == "bună ziua"
    text = table.read_text(encoding="utf-8")
    assert '# "&": " … "  # AMPERSAND: write how it is read; 1 transcript left out' in text
    assert "# numbers: ro " in text


@pytest.mark.parametrize("sign", ["\u202e", "\u0092", "\ue000", '"', "\\", "☃"])
def test_a_suggestion_for_any_sign_is_yaml(sign, tmp_path):
    table = tmp_path / "rules.yaml"
    lines = suggested_rules(survey_of([f"a {sign} b", "cаsă casa casa"]))
    table.write_text("\n".join(["languages:", *lines]) + "\n", encoding="utf-8")
    load_rules("ron", RuleOptions(table))


def test_of_a_clean_text_nothing_is_suggested():
    assert suggested_rules(survey_of(["ana are mere"] * 9)) == []
