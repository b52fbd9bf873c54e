"""What counts as an error is the same for references and hypotheses, and is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mms_dist.evaluation.metrics import measure
from mms_dist.evaluation.scoring_rules import (
    AS_WRITTEN,
    ScoringRules,
    scoring_text,
    text_of_transcripts,
    without_punctuation,
)

IGNORING = ScoringRules(case=False, punctuation=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, I can't.", "Yes I can't"),
        ("well-known – «so»!", "well-known so"),
        ("¿Qué? ¡No!", "Qué No"),
        ("今日、雨。", "今日雨"),
        ("'tis", "tis"),
        ("བོད་ཡིག།", "བོད་ཡིག"),
    ],
)
def test_punctuation_is_dropped_and_what_is_inside_a_word_stays(text: str, expected: str) -> None:
    assert without_punctuation(text) == expected


@given(st.text(max_size=30))
def test_the_rules_change_nothing_twice(text: str) -> None:
    assert without_punctuation(without_punctuation(text)) == without_punctuation(text)


def test_what_is_ignored_is_no_error() -> None:
    said, written = ["Yes, I can."], ["yes i can"]
    assert measure(said, written, IGNORING).scores().cer == 0
    assert measure(said, written).scores().character_edits.total == 4
    assert measure(said, written, ScoringRules(case=False)).scores().character_edits.total == 2


def test_spaces_count_only_where_words_are_spaced() -> None:
    thai = ScoringRules.of("tha", ["สวัสดี ครับ"])
    assert not thai.spaces and ScoringRules.of("ron", ["bună ziua"]) == AS_WRITTEN
    scores = measure(["สวัสดี ครับ"], ["สวัสดีครับ"], thai).scores()
    assert (scores.cer, scores.reference_characters, scores.reference_words) == (0, 10, 2)
    assert measure(["สวัสดี ครับ"], ["สวัสดีครับ"]).scores().cer > 0


def test_rules_are_stored_and_said() -> None:
    for rules in (AS_WRITTEN, IGNORING, ScoringRules(spaces=False)):
        assert ScoringRules.from_dict(rules.as_dict()) == rules
    lower = text_of_transcripts({"lower": True})
    assert scoring_text({"ron": AS_WRITTEN}, {"ron": lower}) == "scored as transcribed (lower case, no punctuation)"
    said = scoring_text({"ron": IGNORING, "tha": ScoringRules(spaces=False)}, {"ron": {}, "tha": lower})
    assert said.startswith("scored without regard to case and punctuation; spaces do not count in the CER of tha")
    assert text_of_transcripts(None) == {"case": None, "punctuation": None}
    kept = text_of_transcripts({"lower": False, "punctuation": "keep"})
    assert kept == {"case": "kept", "punctuation": "kept"}


def test_a_reference_of_punctuation_alone_cannot_be_scored_without() -> None:
    from mms_dist.errors import DataError

    with pytest.raises(DataError, match="reference 0 of 1 is empty"):
        measure(["?!"], ["a"], IGNORING)
