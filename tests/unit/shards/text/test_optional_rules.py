"""What the text keeps or loses only where a rule asks for it, and how shards store such rules."""

import json
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.drops import Rejected
from shards.errors import ShardsError
from shards.text import TextNormaliser
from shards.text.normaliser import stored_normaliser
from shards.text.punctuation import SIGNS
from shards.text_rules import RuleOptions, TextRules, load_rules

LATER = {"markup", "punctuation", "diacritics", "diacritics_except", "romanise"}
OPTIONS = (
    {"punctuation": "keep"},
    {"punctuation": "keep", "lower": False, "apostrophes": "anywhere", "hyphens": "anywhere"},
    {"diacritics": "strip", "diacritics_except": "йñ"},
    {"markup": "remove", "punctuation": "keep", "diacritics": "strip", "apostrophes": "start"},
    {"markup": ("noise",), "hyphens": "keep", "marks": {"·": "inside", ":": "inside"}, "punctuation": "keep"},
)
TELLING = "aAbİıйéñňçßΆ'’ʼ-–·.,:;!?¿¡…。、؟।።[]<>{}noise \n\u0301\u0327\u0308\u064b\u0654\u05b0كأשאक्ि"


def normalise(raw, **rules):
    return TextNormaliser(TextRules(**rules))(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            "„Hallo“, sagte er ... Wie geht's?! (Gut) – ja; na gut : so.",
            "Hallo, sagte er. Wie geht's?! Gut ja; na gut: so.",
        ),
        ("¿Qué?  ¡¡No!! , sí", "¿Qué? ¡No!, sí"),
        ("。あ、い。", "あ、い。"),
        ("नमस्ते।", "नमस्ते।"),
        ("- ano.", "ano."),
    ],
)
def test_kept_punctuation_stands_next_to_its_word(raw, expected):
    assert normalise(raw, punctuation="keep", lower=False) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(TELLING), max_size=14), st.sampled_from(OPTIONS))
def test_normalising_again_changes_nothing_with_any_option(raw, rules):
    try:
        text = normalise(raw, **rules)
    except Rejected:
        return
    assert unicodedata.is_normalized("NFC", text)
    assert text == " ".join(text.split())
    assert normalise(text, **rules) == text


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(TELLING), max_size=14))
def test_the_words_are_the_same_with_and_without_punctuation(raw):
    try:
        plain = normalise(raw)
    except Rejected:
        return
    kept = normalise(raw, punctuation="keep")
    assert " ".join("".join(" " if sign in SIGNS else sign for sign in kept).split()) == plain


@pytest.mark.parametrize(
    ("rule", "raw", "expected"),
    [
        ("remove", "[noise] da <unk> {râde} bine [a [b] c]", "da bine"),
        (("noise", "râde"), "[ Noise ] da {râde}", "da"),
        (("noise",), "da [noi", "da noi"),
    ],
)
def test_markup_is_removed_where_the_rule_says(rule, raw, expected):
    assert normalise(raw, markup=rule) == expected


@pytest.mark.parametrize(("rule", "raw"), [("drop", "[noise] da"), (("noise",), "[râde] da"), ((), "<unk> da")])
def test_other_markup_still_costs_the_utterance(rule, raw):
    with pytest.raises(Rejected) as rejected:
        normalise(raw, markup=rule)
    assert rejected.value.reason == "markup"
    assert raw in rejected.value.found


def test_a_transcript_of_markup_alone_is_empty():
    with pytest.raises(Rejected) as rejected:
        normalise("[noise]", markup="remove")
    assert rejected.value.reason == "empty"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Țară Việt ñandú", "tara viet nandu"),
        ("Ёлка йод", "елка йод"),
        ("Ἀθῆναι", "αθηναι"),
        ("كِتَابٌ أُمّ آن", "كتاب أم آن"),
        ("שָׁלוֹם", "שלום"),
        ("नमस्ते ທຳ བོད", "नमस्ते ທຳ བོད"),
        ("łøß", "łøß"),
    ],
)
def test_diacritics_go_only_where_they_are_no_vowels_of_their_own(raw, expected):
    assert normalise(raw, diacritics="strip", diacritics_except="й") == expected
    assert normalise(raw) == unicodedata.normalize("NFC", raw.lower())


def test_options_override_the_tables_for_every_language(tmp_path):
    table = tmp_path / "rules.yaml"
    table.write_text("default: {markup: [noise]}\nlanguages: {deu: {diacritics: strip, diacritics_except: ä}}\n")
    rules = load_rules("deu", RuleOptions(table, keep=("punctuation", "case")))
    assert TextNormaliser(rules)("[noise] Grüße, Ärger!") == "Gruße, Arger!"
    assert load_rules("ron", RuleOptions(table, markup="remove")).markup == "remove"
    assert load_rules("ron", RuleOptions(table)).markup == ("noise",)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("markup: keep", "expected drop, remove, or a list"),
        ("punctuation: true", "expected one of keep, drop"),
        ("diacritics: off", "expected one of keep, strip"),
        ("romanise: ron", "expected one of true, false"),
    ],
)
def test_a_mistake_in_an_optional_rule_is_named(rule, message, tmp_path):
    table = tmp_path / "rules.yaml"
    table.write_text(f"default: {{{rule}}}\n")
    with pytest.raises(ShardsError, match=message):
        load_rules("ron", RuleOptions(table))


def test_rules_stored_before_these_options_are_unchanged_and_mean_the_same():
    stored = load_rules("deu").as_dict()
    assert not LATER & set(stored)
    assert stored_normaliser(stored)("Grüße, Welt!") == "grüße welt"


@pytest.mark.parametrize("rules", OPTIONS)
def test_stored_options_give_the_same_text(rules):
    stored = json.loads(json.dumps(TextRules(**rules).as_dict()))
    for raw in ("¿Grüße, Ñu l·l?", "{noise} Élan – vital: a-b"):
        outcomes = []
        for normaliser in (TextNormaliser(TextRules(**rules)), stored_normaliser(stored)):
            try:
                outcomes.append(normaliser(raw))
            except Rejected as rejected:
                outcomes.append(rejected.reason)
        assert outcomes[0] == outcomes[1]


def test_romanising_without_uroman_names_the_extra():
    program = (
        "import sys; sys.modules['uroman'] = None; from shards.errors import ShardsError\n"
        "from shards.text.romanise import romanised\n"
        "try: romanised('да', 'rus')\n"
        "except ShardsError as error: print(error)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "uroman, which is not installed; pip install 'mms-dist[romanise]'" in result.stdout


def test_romanised_text_is_in_latin_letters(tmp_path):
    pytest.importorskip("uroman", reason="the extra 'romanise' is not installed")
    table = tmp_path / "rules.yaml"
    table.write_text("default: {romanise: true}\n")
    rules = load_rules("ukr", RuleOptions(table))
    assert TextNormaliser(rules)("Привіт, світе!") == "pryvit svite"
    assert rules.as_dict()["romanise"] == "ukr"
    assert TextNormaliser(rules)("нормалізація") == TextNormaliser(rules)(TextNormaliser(rules)("нормалізація"))
