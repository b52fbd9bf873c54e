"""A text file in another script is told from one with some foreign words, in spaced and unspaced languages."""

from collections.abc import Sequence

import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.spelling import Spelling, counted
from shards.vocabulary import REMOVED, Vocabulary


def spelled(vocabulary: Vocabulary, texts: Sequence[str]) -> Spelling:
    spelling = Spelling("some.txt", vocabulary.language)
    assert list(counted(texts, vocabulary, spelling)) == list(texts)
    return spelling


def test_words_are_counted_and_replaced_characters_are_spelled() -> None:
    built = Vocabulary.build("ron", ["abc"])
    vocabulary = Vocabulary("ron", built.tokens, outside={"x": "c", "-": REMOVED})
    found = spelled(vocabulary, ["ab bax", "ca-b абв", ""])
    assert (found.unit, found.total, found.unspelled) == ("words", 4, 1)


def test_characters_are_counted_where_words_are_not_spaced() -> None:
    found = spelled(Vocabulary.build("cmn", ["你好世界"]), ["你好世大 界"])
    assert (found.unit, found.total, found.unspelled) == ("characters", 5, 1)


def test_a_file_is_refused_if_most_words_cannot_be_spelled() -> None:
    vocabulary = Vocabulary.build("ron", ["abc"])
    assert spelled(vocabulary, ["ab где"]).unspelled == 1, "half is not most"
    with pytest.raises(DataError, match=r"some\.txt: 2 of 3 words \(66\.7%\) cannot be spelled"):
        spelled(vocabulary, ["ab где это"])
    assert spelled(vocabulary, []).total == 0
