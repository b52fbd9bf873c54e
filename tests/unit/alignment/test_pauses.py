"""A recording is cut where it is quiet, not where the labels of a word happen to end."""

import numpy as np
import pytest

from mms_dist.alignment.cuts import SaidWord
from mms_dist.alignment.pauses import LevelMeter, quietest_places
from mms_dist.emissions.windows import Window
from shards.schema import FRAME_SAMPLES

LOUD, QUIET = 3000, 20


def levels_of(*windows: Window) -> np.ndarray:
    meter = LevelMeter()
    for window in windows:
        meter.add(window)
    return meter.levels_T


def tone(frames: int, amplitude: int) -> np.ndarray:
    return np.tile(np.array([amplitude, -amplitude], np.int16), frames * FRAME_SAMPLES // 2)


def test_levels_are_decibels_of_each_own_frame() -> None:
    heard = np.concatenate([tone(5, LOUD), tone(3, QUIET), tone(2, 0)])
    found = levels_of(Window(heard, 4, 5), Window(heard[:0], 0, 3), Window(tone(1, 32767), 0, 1))
    assert found.tolist() == [70, 26, 26, 26, 0, 0, 0, 0, 90]


def test_silence_that_never_ends_has_no_levels_to_measure() -> None:
    assert levels_of().tolist() == []


@pytest.mark.parametrize(("start", "stop"), [(20, 24), (24, 34), (31, 34)])
def test_the_middle_of_the_pause_is_found_wherever_it_is_in_the_gap(start: int, stop: int) -> None:
    levels_T = np.full(60, 70, np.uint8)
    levels_T[start:stop] = 26
    said = [SaidWord(0, 0.1, 0.36, -0.1), SaidWord(1, 0.7, 0.9, -0.1)]  # a gap of frames 18 to 35
    (place,) = quietest_places(said, levels_T)
    assert place == pytest.approx((start + stop) / 2 * 0.02, abs=0.021)


def test_words_without_a_gap_meet_in_between() -> None:
    said = [SaidWord(0, 0.1, 0.4, -0.1), SaidWord(1, 0.4, 0.9, -0.1), SaidWord(2, 0.9, 1.2, -0.1)]
    assert quietest_places(said, np.zeros(60, np.uint8)).tolist() == [0.4, 0.9]
    assert quietest_places(said[:1], np.zeros(60, np.uint8)).tolist() == []
