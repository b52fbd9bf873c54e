"""Greedy decoding: repeats collapse, blanks part them, padding frames say nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mms_dist.evaluation import greedy
from shards.vocabulary import Vocabulary

LATIN = Vocabulary.build("ron", ["abc"])
CYRILLIC = Vocabulary.build("rus", ["где"])


def _path(vocabulary: Vocabulary, text: str) -> list[int]:
    """A frame path: one label twice and a blank for every character."""
    return [frame for label in vocabulary.encode(text) for frame in (label, label, 0)]


def test_repeats_collapse_and_a_blank_keeps_a_double_letter() -> None:
    a, b = LATIN.encode("ab")
    ids_BT = np.array([[a, a, 0, a, b, b]])
    assert greedy(ids_BT, np.array([6]), LATIN) == ["aab"]


def test_frames_behind_the_utterance_are_not_read() -> None:
    a, b = LATIN.encode("ab")
    assert greedy(np.array([[a, b, b, b]]), np.array([1]), LATIN) == ["a"]


def test_a_path_of_blanks_is_an_empty_transcript() -> None:
    assert greedy(np.zeros((1, 4), dtype=np.int64), np.array([4]), LATIN) == [""]


def test_every_utterance_of_a_mixed_batch_uses_its_own_vocabulary() -> None:
    paths = [_path(LATIN, "cab"), _path(CYRILLIC, "где")]
    ids_BT = np.array(paths)
    frames_B = np.array([len(path) for path in paths])
    assert greedy(ids_BT, frames_B, [LATIN, CYRILLIC]) == ["cab", "где"]


@given(st.text(alphabet="abc ", min_size=1, max_size=20).map(lambda text: " ".join(text.split())))
def test_the_path_of_a_text_decodes_to_the_text(text: str) -> None:
    path = _path(LATIN, text)
    assert greedy(np.array([path], dtype=np.int64).reshape(1, -1), np.array([len(path)]), LATIN) == [text]
