"""References and hypotheses cut into pieces that agree and pieces that differ."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mms_dist.report.text_alignment import LONG_WORD, AlignedText, segments

TEXTS = st.text(alphabet="abc \u0301\u4e2d", max_size=40)


@given(TEXTS, TEXTS)
def test_the_pieces_joined_are_the_texts(reference: str, hypothesis: str) -> None:
    pieces = segments(reference, hypothesis)
    assert "".join(piece.reference for piece in pieces) == reference
    assert "".join(piece.hypothesis for piece in pieces) == hypothesis
    assert not any(one.equal and other.equal for one, other in itertools.pairwise(pieces))


def test_a_wrong_word_is_one_piece_and_the_words_around_it_are_not() -> None:
    assert segments("the cat sat", "the bad sat") == [
        AlignedText("the ", "the "),
        AlignedText("cat", "bad"),
        AlignedText(" sat", " sat"),
    ]


def test_words_written_as_one_are_one_piece() -> None:
    assert segments("one two three", "onetwo three")[0] == AlignedText("one two", "onetwo")


@pytest.mark.parametrize(("reference", "hypothesis"), [("中文" * 60, "中交" * 60), ("ก" * 99 + "ข", "ก" * 100)])
def test_texts_without_spaces_are_cut_where_they_agree(reference: str, hypothesis: str) -> None:
    assert all(len(piece.reference) <= LONG_WORD + 2 for piece in segments(reference, hypothesis)[1:])


def test_a_long_difference_is_cut_between_words_of_the_reference() -> None:
    pieces = segments("tutti i circuiti sono ora occupati", "poticicconisonorauoccupati")
    words = "".join(f"{piece.reference}|" for piece in pieces).split("|")
    assert len(words) > 2 and all(word == "" or word[:1] in (" ", "t") for word in words)
