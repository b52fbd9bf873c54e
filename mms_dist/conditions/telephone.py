"""A telephone line.

Legend: S audio samples at 16 kHz, P at 8 kHz, K coefficients of a filter.
"""

from functools import cache

import numpy as np

from mms_dist.conditions.codec import coded
from mms_dist.conditions.condition import Condition, Scene, as_float, as_int16
from shards.schema import SAMPLE_RATE

RATE = 8_000
PASS_BAND = (300.0, 3_400.0)
TAPS = 255


class Telephone(Condition):
    """Resamples to 8 kHz, passes 300 to 3,400 Hz (the band of ITU-T G.712) and codes with µ-law (ITU-T G.711)."""

    meaning = "a telephone line: 8 kHz, 300 to 3,400 Hz, µ-law"

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        import soxr

        narrow_P = soxr.resample(as_float(audio_S), SAMPLE_RATE, RATE, quality="HQ")
        narrow_P = np.convolve(narrow_P, band_pass(), mode="full")[TAPS // 2 :][: len(narrow_P)]
        heard_P = coded(as_int16(narrow_P), RATE, "WAV", "ULAW")
        wide_S = as_int16(soxr.resample(as_float(heard_P), RATE, SAMPLE_RATE, quality="HQ"))
        out_S = np.zeros_like(audio_S)
        out_S[: len(wide_S)] = wide_S[: len(out_S)]
        return out_S


@cache
def band_pass() -> np.ndarray:
    """Return a linear-phase filter [K] of the pass band, made by the window method (Hamming)."""
    time_K = np.arange(TAPS) - TAPS // 2
    low, high = (2 * edge / RATE for edge in PASS_BAND)
    return (high * np.sinc(high * time_K) - low * np.sinc(low * time_K)) * np.hamming(TAPS)
