"""A second speaker who talks at the same time."""

import numpy as np

from mms_dist.conditions.condition import Condition, Scene, mixed


class Overlap(Condition):
    """Adds one other speaker from the first sample to the last."""

    meaning = "a second speaker at the same time; how much louder the first one is, in dB"
    levels = (10,)
    lowest, highest = -30, 60
    needs_speech = True

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        return mixed(audio_S, scene.background.speech(len(audio_S), scene.random), self.level)
