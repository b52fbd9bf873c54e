"""The quietest places between words, where a recording is cut.

The labels of a CTC model are heard for a frame or two at the beginning of a sound, so the end of a word's last label
is before the end of the word, by more or less. The loudness shows where a pause really is.

Legend: T frames, N words that were said.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.cuts import SaidWord
from mms_dist.emissions.windows import FRAME_SECONDS, Window
from shards.schema import FRAME_SAMPLES

_SMOOTHED = 3
"""Frames that the level is averaged over: 60 ms, less than the shortest pause that is cut in."""
_AS_QUIET = 1.0
"""Decibels above the lowest level that are taken for as quiet as it."""
_FLOOR = 1.0
"""Least mean square of 16-bit samples, so that digital silence has a level."""


class LevelMeter:
    """Measures the level of each frame of a recording, window by window. It keeps a byte a frame: 180 kB an hour."""

    def __init__(self) -> None:
        self._pieces: list[NDArray[np.uint8]] = []

    def add(self, window: Window) -> None:
        """Measure the own frames of a window, in the order of the recording."""
        if not len(window.audio):
            self._pieces.append(np.zeros(window.frames, np.uint8))
            return
        first = window.skip * FRAME_SAMPLES
        own = window.audio[first : first + window.frames * FRAME_SAMPLES].reshape(window.frames, FRAME_SAMPLES)
        power_T = np.square(own.astype(np.float32)).mean(axis=1)
        self._pieces.append((10 * np.log10(np.maximum(power_T, _FLOOR))).round().astype(np.uint8))

    @property
    def levels_T(self) -> NDArray[np.uint8]:
        """Decibels of each frame's mean square, relative to samples of ±1 of 32,768: 0 to 90."""
        return np.concatenate([np.empty(0, np.uint8), *self._pieces])


def quietest_places(said: Sequence[SaidWord], levels_T: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the quietest place between each word and the next, in seconds, `[N - 1]`.

    Of several places that are as quiet, it is the one in the middle.
    """
    places = []
    for word, after in itertools.pairwise(said):
        first, stop = round(word.end / FRAME_SECONDS), round(after.start / FRAME_SECONDS)
        if stop <= first:
            places.append((word.end + after.start) / 2)
            continue
        # The frames beside the pause count in the averages at its edges.
        edge = _SMOOTHED // 2
        level_F = levels_T[np.clip(np.arange(first - edge, stop + edge), 0, len(levels_T) - 1)].astype(np.float64)
        level_F = np.convolve(level_F, np.full(_SMOOTHED, 1 / _SMOOTHED), mode="valid")
        quiet = np.flatnonzero(level_F <= level_F.min() + _AS_QUIET)
        places.append((first + float(quiet[len(quiet) // 2]) + 0.5) * FRAME_SECONDS)
    return np.array(places)
