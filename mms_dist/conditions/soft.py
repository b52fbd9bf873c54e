"""Quiet recordings."""

import numpy as np

from mms_dist.conditions.condition import Condition, Scene, amplitude


class Soft(Condition):
    """Makes the utterance quieter, and rounds it to 16 bits, as a recording of a quiet voice is.

    The model sees normalised audio, so what is lost is in the rounding.
    """

    meaning = "a quiet recording, rounded to 16 bits; change of the level in dB"
    levels = (-20, -30)
    lowest, highest = -90, -1

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        return np.rint(audio_S * amplitude(self.level)).astype(np.int16)
