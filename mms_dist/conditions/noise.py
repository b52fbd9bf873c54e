"""Noise at a signal-to-noise ratio: babble of other utterances, or the user's recordings."""

import numpy as np

from mms_dist.conditions.condition import Condition, Scene, mixed

TALKERS = 6
"""Voices of babble, of equal level: so many that none can be followed, and within the three to seven of Kaldi's recipes
(Snyder et al. 2018, "X-vectors: robust DNN embeddings for speaker recognition", section 3.3)."""


class Noise(Condition):
    """Adds noise all over the utterance."""

    meaning = "babble of other utterances, or noise from --noise FOLDER; signal-to-noise ratio in dB"
    levels = (20, 10, 0)
    lowest, highest = -30, 60
    needs_speech = True
    takes_noise = True

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        noise_S = scene.background.noise(len(audio_S), scene.random)
        if noise_S is None:
            talkers = [scene.background.speech(len(audio_S), scene.random) for _ in range(TALKERS)]
            noise_S = np.sum(talkers, axis=0)
        return mixed(audio_S, noise_S, self.level)
