"""A number is spelled only where nothing but its digits decides how it is read; every other utterance is counted."""

import json

import pytest

from shards.build.plan import plan_languages
from shards.drops import REASONS, Rejected
from shards.sources.audio_reference import AudioFile
from shards.sources.rows import SourceRow
from shards.sources.source_rows import SourceRows
from shards.strict_yaml import load_strict
from shards.text import TextNormaliser
from shards.text_rules import SHIPPED, TextRules, load_rules


@pytest.mark.parametrize(
    ("language", "raw", "expected"),
    [
        (
            "eng",
            "At 5 o’clock Smith’s 42 dogs, 7 cats and 1 cow.",
            "at five o'clock smith's forty two dogs seven cats and one cow",
        ),
        ("eng", "5, 6 and (7)", "five six and seven"),
        ("eng", "It is ４２, or ٤٢, or ४२.", "it is forty two or forty two or forty two"),
        ("eng", "CALL 42 NOW", "call forty two now"),
        ("deu", "um 5 Uhr sind 21 Hunde da", "um fünf uhr sind einundzwanzig hunde da"),
        ("fra", "il a 17 filles", "il a dix sept filles"),
        ("spa", "tengo 15 casas", "tengo quince casas"),
        ("ita", "ho 8 case", "ho otto case"),
        ("por", "tenho 3 casas", "tenho três casas"),
        ("nld", "hij heeft 22 huizen", "hij heeft tweeëntwintig huizen"),
        ("hun", "van 5 alma", "van öt alma"),
        ("tur", "bende 5 kitap var", "bende beş kitap var"),
        ("azj", "23 kitab", "iyirmi üç kitab"),
        ("ind", "ada 12 orang", "ada dua belas orang"),
        ("cmn", "二〇二四年", "二〇二四年"),
        ("jpn", "一〇〇", "一〇〇"),
    ],
)
def test_a_number_with_one_reading_is_spelled(language, raw, expected):
    assert TextNormaliser(load_rules(language))(raw) == expected


@pytest.mark.parametrize(
    ("language", "raw"),
    [
        # Gender, case or region decides
        *[("deu", "um 1 Uhr"), ("fra", "1 fille"), ("fra", "21 filles"), ("fra", "80 ans"), ("spa", "200 casas")],
        *[("spa", "1 hombre"), ("spa", "31 casas"), ("por", "2 casas"), ("por", "16 casas"), ("ita", "1 casa")],
        *[("nld", "1 huis"), ("hun", "2 alma"), ("ita", "20 anni"), ("tur", "25 kitap"), ("ind", "1 orang")],
        # No language in which a case or a choice of numerals decides is spelled at all
        *[
            (code, "5 x")
            for code in [
                "fin",
                "est",
                "rus",
                "ukr",
                "pol",
                "ces",
                "ron",
                "lit",
                "ell",
                "ara",
                "heb",
                "hin",
                "kat",
                "kor",
                "jpn",
                "vie",
                "fas",
                "kaz",
            ]
        ],
        # Read otherwise than as a cardinal
        *[("eng", raw) for raw in ("room 007", "call 0712345678", "call 555 1234", "0 dogs", "100 dogs", "in 1990")],
        *[("eng", raw) for raw in ("7:30", "7 30", "3.5", "1,000", "10 000", "1/2", "5-7", "5 – 7", "-5", "- 5", "+5")],
        *[("eng", raw) for raw in ("the 3rd", "5 th", "May 5", "5 of May", "2 Samuel", "No. 5", "no 5", "5 km", "5x")],
        *[
            ("eng", raw)
            for raw in ("$5", "5 €", "5%", "COVID19", "4x4", "'99", "90s", "²", "½", "Ⅳ", "①", "⑴", "5.0.1")
        ],
        *[("eng", raw) for raw in ("Henry VIII", "World War II", "chapter XIV", "1. Go")],
        *[("deu", raw) for raw in ("am 3. Mai", "am 3 Mai", "Es sind 42.", "der 14.")],
        *[("spa", "el siglo 5"), ("hun", "május 5"), ("ind", "abad 5"), ("rus", "XIX век"), ("cmn", "二〇二四年5月")],
        # Words in another script than the text
        ("azj-script_cyrillic", "5 китаб"),
    ],
)
def test_a_number_that_can_be_read_otherwise_is_refused(language, raw):
    with pytest.raises(Rejected) as rejected:
        TextNormaliser(load_rules(language))(raw)
    assert rejected.value.reason in ("numbers", "unsupported_characters")


@pytest.mark.parametrize("raw", ["I am", "a MIX of CD and DVD", "DC LI", "THE XIX", "x v i"])
def test_words_and_abbreviations_are_no_roman_numerals(raw):
    TextNormaliser(load_rules("eng"))(raw)


def test_every_spelled_number_of_the_table_is_words_of_the_language():
    table, _ = load_strict(SHIPPED.read_text(encoding="utf-8"))
    spelled = [code for code in table["languages"] if load_rules(code).numbers != "drop"]
    assert len(spelled) >= 10
    for code in spelled:
        rules = load_rules(code)
        for number in set(range(1, rules.numbers_up_to + 1)) - set(rules.numbers_unsure):
            assert not any(map(str.isdigit, TextNormaliser(rules)(f"{number}")))


def test_the_range_of_ones_own_is_kept_to():
    normalise = TextNormaliser(TextRules(numbers="ro", numbers_up_to=999, numbers_unsure=(1,)))
    assert normalise("300 de case") == "trei sute de case"
    for raw in ("1 casă", "1000 de case", "3. casă"):
        with pytest.raises(Rejected):
            normalise(raw)


def test_refused_numbers_are_counted_with_an_example(tmp_path):
    texts = ["um 1 Uhr", "um 5 Uhr", "Zimmer 007", "Guten Morgen", "Guten Abend"]
    rows = []
    for number, text in enumerate(texts):
        audio = tmp_path / f"{number}.wav"
        audio.write_bytes(b"x")  # planning does not decode
        rows.append(
            SourceRow(audio=AudioFile(audio), name=audio.name, text=text, language="deu", where=f"m.tsv:{number}")
        )
    (plan,) = plan_languages(SourceRows("manifest", rows), dev_fraction=0.0, test_fraction=0.0)
    assert plan.drops["numbers"] == 2
    assert "um 1 Uhr" in json.dumps(plan.drops.as_dict()["numbers"]["examples"])
    assert "numbers" in REASONS
    kept = {candidate.text for candidates in plan.candidates.values() for candidate in candidates}
    assert kept == {"um fünf uhr", "guten morgen", "guten abend"}
