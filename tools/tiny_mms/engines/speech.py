"""What every speech synthesiser of the corpus offers.

Shapes: T samples.
"""

import random
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EngineVoice:
    """One voice; ``language`` is the espeak-ng voice whose phones label what it says."""

    name: str
    language: str


@dataclass(frozen=True)
class Spoken:
    """Float samples at ``rate_hz``; (IPA, first sample) pairs where the engine knows them."""

    samples_T: NDArray[np.float32]
    rate_hz: int
    phones: list[tuple[str, int]] | None = None


class Engine(Protocol):
    """A synthesiser with several voices."""

    voices: tuple[EngineVoice, ...]

    def speak(self, text: str, voice: EngineVoice, generator: random.Random) -> Spoken | None:
        """Say ``text`` with a rate and pitch drawn from ``generator``; None where the engine cannot."""
        ...
