"""Transcripts become training text by one table of rules."""

import unicodedata

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shards.drops import Rejected
from shards.errors import ShardsError
from shards.text import TextNormaliser
from shards.text.characters import ALSO_LETTERS
from shards.text_rules import SHIPPED, RuleOptions, TextRules, load_rules


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


# One language for each set of rules; `und` has those of a language that the table does not name.
CODES = ["und", *yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["languages"]]
LANGUAGES = list({str(load_rules(code)): code for code in CODES}.values())
NORMALISERS = {code: TextNormaliser(load_rules(code)) for code in LANGUAGES}
# What rules look at, one of each kind and script.
TELLING = (
    "aAbiIıİjJlLnoOyÝéßſŉŀĳǆﬁΣσςᾳㅎㅏ하ﾊﾞｶאבג״׳\u05b0\u0591հեւևԵՒ՞՛՚بهيكىۀةﷺﻻـ\u064e\u06d6कर्िഩന്সত্যකෂ්ทำํ่าລຳໍາགཀ་မ၏ខ្មែᏣ〇二゛ﾞー"
    "ʻʼʽꞌꞋʰʷˮ'’‘‛`´′‚\"“”«»-‐—–·•:.,!?;&%€№™½²③Ⅻ0159٣५\u200b\u200c\u200d\u00ad\u0307\u0301\u0300\u0323\ufe0f\u034f\ufeff"
    "\u2060\u202e\u180b\u115f\u3164\u17b5\ue000\ud800\u0092 \n\t\u00a0\u3000ªº꞉ǃ/"
)
CHARACTERS = st.one_of(st.sampled_from(TELLING), st.characters(), st.sampled_from("ab' -"))
EDGES = st.sampled_from("ab''ʼ‘’-- .\u0301\u200c\u06cc·:\"")


@settings(max_examples=1500, deadline=None)
@given(st.one_of(st.text(CHARACTERS, max_size=12), st.text(EDGES, max_size=12)), st.sampled_from(LANGUAGES))
def test_text_is_in_nfc_and_normalising_it_again_changes_nothing(raw, language):
    normalise = NORMALISERS[language]
    try:
        text = normalise(raw)
    except Rejected:
        return
    assert unicodedata.is_normalized("NFC", text)
    assert text == " ".join(text.split())
    for word in text.split():
        assert unicodedata.category(word[0])[0] != "M", "a mark with no letter under it"
    allowed = {*" '-\u200c\u200d", *ALSO_LETTERS, *normalise.rules.marks}
    assert all(unicodedata.category(character)[0] in "LM" or character in allowed for character in text)
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
    assert load_rules("tur", RuleOptions(own)).hyphens == "keep"
    assert load_rules("tur", RuleOptions(own)).replace == load_rules("tur").replace


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("default: {aposthropes: drop}", r"did you mean 'apostrophes'"),
        ("languages: {ron: {hyphens: away}}", "expected one of space, keep, drop"),
        ("languages: {ron: {numbers: xx}}", "a language of num2words"),
        ("languages: [ron]", "must map codes to rules"),
        ("languages: {ron: {replace: {a: 1}}}", "strings to strings"),
        ("rules: {}", "only 'default' and 'languages'"),
        ("a: [", "are not YAML"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_what_was_expected(table, message, tmp_path):
    own = tmp_path / "rules.yaml"
    own.write_text(table)
    with pytest.raises(ShardsError, match=message):
        load_rules("ron", RuleOptions(own))


def test_the_shipped_table_holds_only_known_rules_for_known_languages():
    from shards.languages import parse_language

    for code in yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["languages"]:
        assert load_rules(parse_language(code)) != TextRules()


@pytest.mark.parametrize(
    ("language", "raw", "expected"),
    [
        # Letters at a word's edge, however they are typed
        ("uzb", "bogʻ bog‘ bog` bog´ bog' bogʼ", "bog' bog' bog' bog' bog' bog'"),
        ("und", "ma’ ’a k’a", "ma' 'a k'a"),
        ("und", "ʼa maʼ kʼa ꞌe", "ʼa maʼ k'a ʼe"),
        ("smo", "`ua ‘ua ʻua 'ua", "ʻua ʻua ʻua ʻua"),
        # Quotation marks that can be nothing else
        ("eng", "ʼtis ’tis aʼ b", "tis tis a b"),
        ("eng", "he said ‘go’ and 'stay', dogs' rock 'n' roll", "he said go and stay dogs rock n roll"),
        ("und", "‘go’ and don't", "go and don't"),
        ("und", "‘Go away.’ he said", "go away he said"),
        ("und", "''go'' ba'", "go ba'"),
        ("und", "''ya'ya' da", "'ya'ya da"),
        ("uzb", "U 'kitob' dedi", "u kitob dedi"),
        ("uzb", "''Tog'' baland", "tog baland"),
        ("uzb", "‘Kitob’ togʻ tog'", "kitob tog' tog'"),
        ("hau", "'Yan mata sun ce 'gida'", "'yan mata sun ce gida"),
        ("nav", "‘Diné’ bizaad 'aoo'", "diné bizaad 'aoo'"),
        ("kor", "‘사랑’이라는", "사랑이라는"),
        ("cmn", "他说‘你好’了", "他说 你好 了"),
        # ... and where they can be letters, all are kept
        ("hau", "'ya'ya'", "'ya'ya"),
        ("hau", "'daki da 'barawo, k'ofa", "'daki da 'barawo k'ofa"),
        ("uzb", "'Tog' baland' dedi", "tog' baland' dedi"),
        ("nav", "'áádóó shimá yázhí'", "'áádóó shimá yázhí'"),
        ("mlt", "'l hemm ta'", "'l hemm ta'"),
        # No letter beside it
        ("nav", "a ' b ’. c", "a b c"),
    ],
)
def test_an_apostrophe_stays_where_it_is_a_letter(language, raw, expected):
    assert normalise(raw, language) == expected
    assert normalise(expected, language) == expected


@pytest.mark.parametrize("typed", "’‘‛`´′‵ʹ՚׳＇᾽᾿῾ʼʽꞌꞋ")
def test_every_apostrophe_between_letters_is_the_same_one(typed):
    assert normalise(f"d{typed}a", "fra") == "d'a"


def test_apostrophes_that_compatibility_forms_are_made_of_are_folded():
    assert normalise("aŉb", "ces") == "a'nb"
    assert normalise("ŉ", "afr") == "'n"


@pytest.mark.parametrize(
    "hidden",
    ["\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\u202e", "\u2066", "\ufe0f", "\u034f", "\U000e0101", "\u061c"],
)
def test_what_can_not_be_seen_leaves_no_token_and_its_neighbours_compose(hidden):
    assert normalise(f"caf{hidden}e{hidden}\u0301{hidden}", "fra") == "café"


@pytest.mark.parametrize(
    ("language", "raw", "expected"),
    [
        *((code, "IŞIK İçin", "ışık için") for code in ("tur", "azj", "crh", "gag", "tat", "kaa", "kaz", "diq")),
        ("eng", "İstanbul I", "istanbul i"),
        ("eng", "I\u0307stanbul i\u0307", "istanbul i"),
        ("tur", "i\u0307stanbul I\u0307", "istanbul i"),
        ("lit", "i\u0307\u0301 į\u0307\u0303 j\u0307\u0303 Į\u0307\u0301", "í į̃ j̃ į́"),
        ("pol", "ż Ż", "ż ż"),
    ],
)
def test_a_capital_i_becomes_the_small_letter_of_its_alphabet(language, raw, expected):
    text = normalise(raw, language)
    assert text == expected
    assert "\u0307" not in text


def test_dotless_i_is_a_matter_of_lower_case():
    assert normalise("IŞIK", lower=False, dotless_i=True) == "IŞIK"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("gʷ kʰ mⁿ", "gʷ kʰ mⁿ"),
        ("ﬁ ĳ ﬀ Å ｱ", "fi ij ff å ア"),
        ("ทำ ຄຳ ໜ և", "ทำ ຄຳ ໜ և"),
        ("ﹷ\u0628\ufe77", "ب\u064e"),
    ],
)
def test_compatibility_forms_fold_only_where_the_reading_is_the_same(raw, expected):
    assert normalise(raw, "und") == expected


@pytest.mark.parametrize(
    "raw",
    [
        *("№ một", "Mª", "nº", "Windows™", "5㎏", "a ¨ b"),
        *("caf´\u0092e", "a\ue000b", "x\ud800", "a٪", "a ⁊ b"),
    ],
)
def test_what_would_be_read_otherwise_than_it_is_written_is_refused(raw):
    with pytest.raises(Rejected):
        normalise(raw, "und")


def test_an_accent_with_no_letter_under_it_is_no_token():
    assert normalise("a \u0301b '\u0301c \u0301", "und") == "a b 'c"
    assert normalise("a \u0301ʼ", "und") == "a"


def test_a_user_can_spell_what_is_hidden_or_refused():
    assert normalise("а\u200bб", replace={"\u200b": " "}) == "а б"
    assert normalise("5 m²", replace={"5": "cinci", "²": " pătrați"}) == "cinci m pătrați"
    assert normalise("№ a", replace={"№": "număr "}) == "număr a"
    assert normalise("l’a e\u0301", replace={"l’": "le ", "é": "e"}) == "le a e"
    assert normalise("e\u0301", form="NFC", replace={"é": "x"}) == "x"
    assert normalise("ｶﾞ", replace={"ガ": "ga"}) == "ga"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("می\u200cروم ها\u200c .", "می\u200cروم ها"),
        ("ક્\u200c\u200cષ \u200dક", "ક્\u200cષ ક"),
        ("a\u200dc\u200d é", "ac é"),
        ("ไป\u200cมา", "ไปมา"),
    ],
)
def test_joiners_stay_between_letters_of_scripts_that_spell_with_them(raw, expected):
    assert normalise(raw, "und") == expected
    assert "\u200c" not in normalise(raw, "arb")
