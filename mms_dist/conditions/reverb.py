"""Reverberation by synthetic impulse responses of rooms.

Legend: S audio samples, R samples of an impulse response.
"""

import numpy as np

from mms_dist.conditions.condition import Condition, Scene, as_float, as_int16, level_of
from shards.schema import SAMPLE_RATE

FIRST_REFLECTION_SECONDS = 0.0025
"""Silence between the direct sound and the first reflection: a detour of 0.9 m."""


class Reverb(Condition):
    """Every utterance is heard in a room of its own, with the same reverberation time.

    The impulse response is Polack's model of a diffuse sound field (J.-D. Polack 1988, "La transmission de l'énergie
    sonore dans les salles"; Lebart et al. 2001, Acta Acustica 87):

        h(0) = 1;    h(t) = g · n(t) · 10^(-3 t / T60)    for t from 2.5 ms to T60,

    with white Gaussian noise n. The factor g gives the reverberant part the energy of the direct sound (a
    direct-to-reverberant ratio of 0 dB: the speaker is at the critical distance). The utterance keeps its level and its
    length; what would sound after its end is cut.
    """

    meaning = "reverberation of a room, with the speaker at the critical distance; reverberation time T60 in seconds"
    levels = (0.3, 0.6)
    lowest, highest = 0.05, 5

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        dry_S = as_float(audio_S)
        wet_S = _convolved(dry_S, impulse_response(self.level, scene.random))[: len(dry_S)]
        return as_int16(wet_S * (level_of(dry_S) / max(level_of(wet_S), 1e-12)))


def impulse_response(t60_seconds: float, random: np.random.Generator) -> np.ndarray:
    """Return an impulse response, float64 [R]."""
    time_R = np.arange(round(t60_seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail_R = random.standard_normal(len(time_R)) * 10 ** (-3 * time_R / t60_seconds)
    tail_R[time_R < FIRST_REFLECTION_SECONDS] = 0
    tail_R /= np.sqrt(np.sum(tail_R**2))
    tail_R[0] = 1
    return tail_R


def _convolved(audio_S: np.ndarray, response_R: np.ndarray) -> np.ndarray:
    size = 1 << (len(audio_S) + len(response_R) - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(audio_S, size) * np.fft.rfft(response_R, size), size)
