"""Transcripts become training text by one table of rules."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.errors import ShardsError
from shards.text import Rejected, TextNormaliser
from shards.text_rules import SHIPPED, TextRules, load_rules


def normalise(text, language="ces", **rules):
    return TextNormaliser(TextRules(**rules) if rules else load_rules(language))(text)


@pytest.mark.parametrize(
    ("language", "raw", "expected"),
    [
        ("ron", "  Bună,  ziua!\n", "bună ziua"),
        ("ron", unicodedata.normalize("NFD", "Țară"), "țară"),
        ("eng", "“Don’t” — he said, ‘go’…", "don't he said go"),
        ("eng", "well-known e-mail", "well known e mail"),
        ("eng", "It is 42, and 7!", "it is forty two and seven"),
        ("tur", "IŞIK İstanbul", "ışık istanbul"),
        ("ell", "ΟΔΟΣ", "οδος"),
        ("deu", "Straße und Ä", "straße und ä"),
        ("hin", "नमस्ते।", "नमस्ते"),
        ("tha", "ทำ", "ทำ"),
        ("fas", "می‌روم", "می‌روم"),
        ("ara", "كـــتاب", "كتاب"),
        ("cmn", "三十二。", "三十二"),
        ("jpn", "ﾃｽﾄ", "テスト"),
        ("eng", "a\u00adb\ufeff c\u200bd", "ab cd"),
        ("haw", "ʻOkina Hawai'i", "ʻokina hawaiʻi"),
    ],
)
def test_text_of_many_scripts_is_normalised_by_the_shipped_table(language, raw, expected):
    assert normalise(raw, language) == expected


@pytest.mark.parametrize(
    ("language", "raw", "reason"),
    [
        ("ces", "", "empty"),
        ("ces", " … !", "empty"),
        ("ces", "'", "empty"),
        ("ces", "[smích] ano", "markup"),
        ("ces", "ano <unk>", "markup"),
        ("ces", "rok 1999", "numbers"),
        ("eng", "3.5 dogs", "numbers"),
        ("eng", "on 1/2/2020", "numbers"),
        ("eng", "the 3rd", "numbers"),
        ("eng", "5 m²", "numbers"),
        ("eng", "Ⅳ", "numbers"),
        ("eng", "rock & roll", "unsupported_characters"),
        ("eng", "five €", "unsupported_characters"),
        ("eng", "a | b", "unsupported_characters"),
        ("eng", "nice 😀", "unsupported_characters"),
    ],
)
def test_text_that_can_not_be_trusted_is_refused_with_a_named_reason(language, raw, reason):
    with pytest.raises(Rejected) as rejected:
        normalise(raw, language)
    assert rejected.value.reason == reason


@given(st.text(max_size=40))
def test_normalised_text_is_clean_and_normalising_it_again_changes_nothing(raw):
    try:
        text = normalise(raw)
    except Rejected:
        return
    assert text == text.strip()
    assert "  " not in text
    assert "|" not in text
    assert all(unicodedata.category(character)[0] in "LMZ" or character in "'" for character in text)
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"apostrophes": "drop"}, "lete dont"),
        ({"apostrophes": "space"}, "l ete don t"),
        ({"apostrophes": "anywhere"}, "l'ete don't'"),
        ({"lower": False}, "L'Ete don't"),
    ],
)
def test_every_rule_does_what_the_table_says(rules, expected):
    assert normalise("L'Ete don't'", **rules) == expected


def test_hyphens_are_kept_between_letters_only():
    assert normalise("e-mail - ano", hyphens="keep") == "e-mail ano"
    assert normalise("e-mail", hyphens="drop") == "email"


def test_a_language_with_a_script_takes_the_rules_of_the_language():
    assert load_rules("azj-script_cyrillic") == load_rules("azj") != load_rules("ron")


def test_a_table_of_ones_own_is_laid_over_the_shipped_one(tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_text("languages: {tur: {hyphens: keep}}\n")
    assert load_rules("tur", own).hyphens == "keep"
    assert load_rules("tur", own).replace == load_rules("tur").replace


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("default: {aposthropes: drop}", r"did you mean 'apostrophes'"),
        ("languages: {ron: {hyphens: away}}", "expected one of space, keep, drop"),
        ("languages: {ron: {numbers: xx}}", "a language of num2words"),
        ("languages: [ron]", "must map codes to rules"),
        ("languages: {ron: {replace: {a: 1}}}", "strings to strings"),
        ("rules: {}", "'default' and 'languages' only"),
        ("a: [", "are not YAML"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_what_was_expected(table, message, tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_text(table)
    with pytest.raises(ShardsError, match=message):
        load_rules("ron", own)


def test_the_shipped_table_holds_only_known_rules_for_known_languages():
    import yaml

    from shards.schema import parse_language

    for code in yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["languages"]:
        assert load_rules(parse_language(code)) != TextRules()
