"""What conditions mix into utterances, made up, and the audio that they change."""

import numpy as np

from mms_dist.conditions.condition import Condition, Scene, level_of
from shards.schema import SAMPLE_RATE


class MadeUpBackground:
    """White noise of level 1 as speech, a tone as noise if `noise` is true."""

    def __init__(self, *, noise: bool = False) -> None:
        self._noise = noise

    def speech(self, samples: int, random: np.random.Generator) -> np.ndarray:
        sound_S = random.standard_normal(samples).astype(np.float32)
        return sound_S / np.float32(level_of(sound_S))

    def noise(self, samples: int, random: np.random.Generator) -> np.ndarray | None:
        return tone(1000, samples / SAMPLE_RATE) / np.float32(32768) if self._noise else None


def applied(condition: Condition, audio_S: np.ndarray, *, key: int = 7, noise: bool = False) -> np.ndarray:
    """The audio under a condition, for the utterance with this key."""
    scene = Scene(np.random.Generator(np.random.Philox(key=key)), MadeUpBackground(noise=noise))
    return condition.apply(audio_S.copy(), scene)


def tone(hertz: float, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    """A tone, int16, with this root mean square of full scale."""
    time_S = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.rint(32767 * level * np.sqrt(2) * np.sin(2 * np.pi * hertz * time_S)).astype(np.int16)


def speech_like(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    """Noise in syllables, int16, with pauses between them."""
    random = np.random.default_rng(seed)
    time_S = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    shape_S = np.clip(np.sin(2 * np.pi * 3 * time_S), 0, None)
    return np.rint(4000 * shape_S * random.standard_normal(len(time_S))).clip(-32768, 32767).astype(np.int16)


def decibels(ratio: float) -> float:
    """A ratio of amplitudes in dB."""
    return float(20 * np.log10(ratio))
