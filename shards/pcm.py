"""Convert stored samples to the form used for training: 16 kHz, mono, 16 bits.

Legend: `[S]` audio samples at 16 kHz; `[F, C]` samples of a recording as stored, by channel; `[F]` of one channel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shards.schema import SAMPLE_RATE

Samples = NDArray[np.int16]


def to_16_khz_mono(audio_FC: NDArray[np.float32], rate: int) -> Samples:
    """Mix down to mono, resample with soxr at its "HQ" quality, and round to int16 `[S]`."""
    return to_int16(resampled(mixed(audio_FC), rate))


def mixed(audio_FC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average all channels to one `[F]`."""
    return audio_FC.mean(axis=1, dtype=np.float32) if audio_FC.ndim == 2 else audio_FC


def resampled(mono: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Resample `[F]` at `rate` to `[S]`."""
    if rate == SAMPLE_RATE:
        return mono
    import soxr

    return soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")


def to_int16(mono: NDArray[np.float32]) -> Samples:
    """Convert -1 … 1 to integers, clipping louder samples."""
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)
