"""Recordings that are too loud."""

import numpy as np

from mms_dist.conditions.condition import Condition, Scene, amplitude


class Clipping(Condition):
    """Amplifies the utterance so that its peak would be so many decibels above full scale, and clips it there."""

    meaning = "a recording that is too loud and clipped; how far its peak is above full scale, in dB"
    levels = (20,)
    lowest, highest = 1, 60

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        peak = max(int(np.max(np.abs(audio_S.astype(np.int32)), initial=0)), 1)
        return np.clip(np.rint(audio_S * (32767 / peak * amplitude(self.level))), -32767, 32767).astype(np.int16)
