"""Fingerprints of recordings: copies have similar ones, whatever their level, format, and where they begin.

A fingerprint is made of landmarks: pairs of peaks of the spectrogram that follow one another, each given by two
frequencies and the time between them (Wang 2003, An industrial-strength audio search algorithm, ISMIR). A copy has many
of the same landmarks, which the Jaccard index of both sets measures. It is estimated from 64 bytes: the landmarks are
divided at random into 64 bins, and each bin keeps 8 bits of its smallest hash (Li & König 2010, b-bit minwise hashing,
https://arxiv.org/abs/0910.3349). Two fingerprints are compared by the number of their equal bytes.

Legend: `[S]` samples at 16 kHz; T frames; B frequency bands; N utterances.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shards.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from shards.audio.recording import Samples

BINS = 64
"""Bytes of a fingerprint. A byte of 0 is a bin without landmarks."""
FEWEST_BINS = 24
"""Fingerprints with fewer landmarks than fill so many bins are not used: most utterances below a second."""

_DECIMATION = 4
_RATE = SAMPLE_RATE // _DECIMATION
_WINDOW, _HOP = 256, 32
_BANDS, _LOWEST_HZ, _HIGHEST_HZ = 48, 150.0, 1900.0
_NEIGHBOUR_FRAMES, _NEIGHBOUR_BANDS = 8, 5
_RANGE = 6.9
"""Peaks are used down to this below the highest one, in nepers of power: 30 dB."""
_FOLLOWERS, _MOST_FRAMES, _STEP_FRAMES = 6, 64, 6
_STEPS = 1 + _MOST_FRAMES // _STEP_FRAMES


def fingerprint(audio: Samples) -> bytes:
    """Return the fingerprint of a recording, int16 `[S]`: 64 bytes, or none if it has too few landmarks."""
    if len(audio) < _DECIMATION * _WINDOW:
        return b""
    hashes = _hashes(np.unique(_landmarks(_spectrogram(audio))))
    bins, values = hashes & np.uint32(BINS - 1), hashes >> np.uint32(6)
    least = np.full(BINS, np.iinfo(np.uint32).max, np.uint32)
    np.minimum.at(least, bins, values)
    is_filled = np.zeros(BINS, bool)
    is_filled[bins] = True
    if np.count_nonzero(is_filled) < FEWEST_BINS:
        return b""
    return np.where(is_filled, 1 + least % np.uint32(255), 0).astype(np.uint8).tobytes()


def _spectrogram(audio: Samples) -> NDArray[np.float32]:
    """Return the logarithm of the power in each band, `[T, B]`."""
    length = len(audio) // _DECIMATION * _DECIMATION
    low = audio[0:length:_DECIMATION].astype(np.float32)
    for offset in range(1, _DECIMATION):
        low += audio[offset:length:_DECIMATION]
    window, bands = _filters()
    frames = np.lib.stride_tricks.sliding_window_view(low, _WINDOW)[::_HOP] * window
    spectrum = np.fft.rfft(frames, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.asarray(np.log(power @ bands + 1), np.float32)


@functools.cache
def _filters() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the window, and triangular bands of equal width on the mel scale."""
    lowest, highest = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(lowest, highest, _BANDS + 2) / 2595) - 1)
    hz = np.fft.rfftfreq(_WINDOW, 1 / _RATE)[:, None]
    rising, falling = (hz - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - hz) / np.diff(edges)[1:]
    return np.hanning(_WINDOW).astype(np.float32), np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def _landmarks(level_TB: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the landmarks: both bands and the time between, as one number each."""
    highest = _sliding_maximum(_sliding_maximum(level_TB, _NEIGHBOUR_FRAMES).T, _NEIGHBOUR_BANDS).T
    frame, band = np.nonzero((level_TB >= highest) & (level_TB > level_TB.max() - _RANGE))
    found = [np.empty(0, np.int64)]
    for next_one in range(1, min(_FOLLOWERS, len(frame) - 1) + 1):
        apart = frame[next_one:] - frame[:-next_one]
        is_near = (apart > 0) & (apart <= _MOST_FRAMES)
        both = band[:-next_one] * _BANDS + band[next_one:]
        found.append((both * _STEPS + apart // _STEP_FRAMES)[is_near])
    return np.concatenate(found)


def _sliding_maximum(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Return the largest value within `reach` along the first axis."""
    length, width = len(values), 2 * reach + 1
    padded = np.full((length + 2 * reach, *values.shape[1:]), -np.inf, values.dtype)
    padded[reach : reach + length] = values
    covered = 1
    while 2 * covered <= width:
        padded = np.maximum(padded[:-covered], padded[covered:])
        covered *= 2
    return np.maximum(padded[:length], padded[width - covered : width - covered + length])


def _hashes(numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Mix the bits of numbers (the finaliser of MurmurHash3, 32 bits)."""
    mixed = numbers.astype(np.uint32) + np.uint32(1)
    for factor, shift in ((0x85EBCA6B, 16), (0xC2B2AE35, 13)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))
