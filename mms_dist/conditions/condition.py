"""The interface of conditions, which change the recordings that a model is evaluated on.

What a condition does to an utterance depends on its level and on `Scene.random` alone, which is keyed by the utterance
and the kind of condition. So every model hears the same audio, in any batch and on any number of processes; and levels
of one kind differ in nothing but the level.

Legend: S audio samples at 16 kHz, N utterances.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from shards.audio.recording import to_int16


class Background(Protocol):
    """Recordings that can be mixed into an utterance."""

    def speech(self, samples: int, random: np.random.Generator) -> np.ndarray:
        """Return another speaker's utterances, one after another: float32 [samples], of level (root mean square) 1."""

    def noise(self, samples: int, random: np.random.Generator) -> np.ndarray | None:
        """Return noise of the user's, float32 [samples] and not silent; None if the user gave none."""


@dataclass(frozen=True)
class Scene:
    """What a condition may draw from, for one utterance."""

    random: np.random.Generator
    background: Background


@dataclass(frozen=True)
class Condition:
    """A condition at one level. Subclasses set the class variables and override `apply`.

    Attributes:
        level: how strong it is, such as a signal-to-noise ratio in dB; unused if it has no levels.
        meaning: what it does, for people, with the unit of its levels.
        levels: those that are taken if none is given; empty if it has no levels.
        lowest, highest: bounds of its levels.
        needs_speech: whether it mixes other utterances of the corpus in. It is refused where there are none.
        takes_noise: whether it uses noise that the user gives, instead of such utterances.
    """

    level: float = 0.0

    meaning: ClassVar[str]
    levels: ClassVar[tuple[float, ...]] = ()
    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 0.0
    needs_speech: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = False

    def lengths(self, samples_N: np.ndarray) -> np.ndarray:
        """Return the samples of recordings after `apply`, int64 [N]; needed before any audio is read."""
        return samples_N

    def apply(self, audio_S: np.ndarray, scene: Scene) -> np.ndarray:
        """Return the changed recording, int16 [S]; as long as `lengths` says."""
        raise NotImplementedError


def amplitude(decibels: float) -> float:
    """Return the factor on amplitudes that changes a level by so many decibels."""
    return float(10 ** (decibels / 20))


def level_of(audio_S: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(audio_S, dtype=np.float64)))) if len(audio_S) else 0.0


def as_float(audio_S: np.ndarray) -> np.ndarray:
    """Return int16 samples as float32 in -1 … 1."""
    return audio_S.astype(np.float32) / 32768


def as_int16(audio_S: np.ndarray) -> np.ndarray:
    """Return samples as int16. Audio with peaks beyond full scale is made quieter as a whole, and not clipped."""
    peak = float(np.max(np.abs(audio_S), initial=0.0))
    full_scale_S = audio_S / peak * (32767 / 32768) if peak > 1 else audio_S
    return to_int16(full_scale_S.astype(np.float32, copy=False))


def mixed(audio_S: np.ndarray, other_S: np.ndarray, ratio_decibels: float) -> np.ndarray:
    """Add float32 `other_S` to int16 `audio_S` so that the latter's mean power is `ratio_decibels` above the former's.

    The mean is over the whole utterance, pauses included, as in Kaldi's recipes with MUSAN (Snyder et al. 2015, "MUSAN:
    a music, speech, and noise corpus"). If one of the two is silent, nothing is added.
    """
    speech_S, other_level = as_float(audio_S), level_of(other_S)
    factor = level_of(speech_S) / other_level * amplitude(-ratio_decibels) if other_level else 0.0
    return as_int16(speech_S + np.float32(factor) * other_S)
