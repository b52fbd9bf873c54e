"""Speech that is faster or slower."""

import numpy as np

from mms_dist.augment.speed import played_at, samples_at
from mms_dist.conditions.condition import Condition, Scene


class Speed(Condition):
    """Plays the utterance at another speed, which changes its pitch too, as the augmentation of this name does."""

    meaning = "played faster or slower, which changes the pitch too; factor"
    levels = (0.9, 1.1)
    lowest, highest = 0.5, 2

    def lengths(self, samples_N: np.ndarray) -> np.ndarray:
        return samples_at(samples_N, np.array(self.level))

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        return played_at(audio_S, self.level)
