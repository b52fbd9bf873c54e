"""Segments cover the outputs once, end in pauses, and do not depend on the pieces in which outputs come."""

import numpy as np
import pytest

from mms_dist.transcription.segmenter import ENOUGH, LONG_PAUSE, MOST, Segmenter

VOCABULARY = 8


def outputs(*parts: tuple[int, int]) -> np.ndarray:
    """Log-probabilities of so many frames of each label."""
    labels = np.concatenate([np.full(frames, label) for label, frames in parts])
    log_prob_TV = np.full((len(labels), VOCABULARY), -9.0, np.float32)
    log_prob_TV[np.arange(len(labels)), labels] = -0.01
    return log_prob_TV


def segmented(log_prob_TV: np.ndarray, *, step: int) -> list[tuple[int, int]]:
    segmenter = Segmenter()
    found = []
    for start in range(0, len(log_prob_TV), step):
        found += list(segmenter.add(log_prob_TV[start : start + step]))
    found += list(segmenter.end())
    assert np.array_equal(np.concatenate([part for _, part in found]), log_prob_TV)
    return [(first, len(part)) for first, part in found]


@pytest.mark.parametrize("step", [70, 333, 10_000])
def test_long_pauses_end_segments(step: int) -> None:
    said = outputs((6, 100), (0, LONG_PAUSE), (7, 100), (0, LONG_PAUSE + 20), (6, 30))
    assert segmented(said, step=step) == [(0, 125), (125, 160), (285, 65)]


def test_a_long_segment_ends_in_its_longest_short_pause() -> None:
    said = outputs((6, 200), (4, 16), (7, 150), (0, 30), (6, ENOUGH))
    assert segmented(said, step=100)[0] == (0, 200 + 16 + 150 + 15)


def test_speech_without_a_pause_is_cut_where_the_blank_is_likeliest() -> None:
    said = outputs((6, MOST + 200))
    said[1100, 0] = -2.0
    first, *_, last = segmented(said, step=250)
    assert first == (0, 1100) and last[0] == 1100


def test_speech_without_a_pause_is_cut_between_words_where_it_can_be() -> None:
    said = outputs((6, 1000), (4, 3), (6, MOST))
    said[1100, 0] = -0.005
    assert segmented(said, step=250)[0] == (0, 1000)


def test_nothing_gives_nothing() -> None:
    assert list(Segmenter().end()) == []
