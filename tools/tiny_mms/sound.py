"""Trim and scale a recording.

Shapes: T samples.
"""

import numpy as np
from numpy.typing import NDArray

_SILENCE_DECIBEL = -45.0  # under the loudest sample
_KEPT_SILENCE_SECONDS = 0.08


def trimmed(samples_T: NDArray[np.float32], rate_hz: int) -> tuple[NDArray[np.float32], int]:
    """Cut silence from both ends but for 80 ms; also return the samples that were cut from the beginning."""
    loud = np.flatnonzero(np.abs(samples_T) > np.abs(samples_T).max(initial=0.0) * 10 ** (_SILENCE_DECIBEL / 20))
    if not len(loud):
        return samples_T, 0
    kept = round(_KEPT_SILENCE_SECONDS * rate_hz)
    first = max(int(loud[0]) - kept, 0)
    return samples_T[first : int(loud[-1]) + kept], first


def to_int16(samples_T: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert float samples to int16, scaled to a peak of 0.9 so that nothing clips."""
    peak = float(np.abs(samples_T).max(initial=1e-4))
    return np.round(samples_T * (0.9 * 32767 / peak)).astype(np.int16)
