"""The two kinds of augmentation: of a recording, and of the frames that the front end makes of it.

An augmentation is a frozen dataclass of its settings. Its random numbers depend only on (seed, language, epoch,
utterance), so a language is trained on the same audio alone or with others, on any number of processes and after a
restart. An augmentation must use only the randomness passed to it.

Legend: N utterances, S audio samples, T frames, H channels.
"""

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TypeVar

import numpy as np

_UNIT = 2.0**-53


@dataclass(frozen=True)
class Draw:
    """The randomness of one augmentation for one utterance in one epoch.

    Attributes:
        key: key of its random numbers, in [0, 2**128).
        fewest: samples that the utterance must keep, so that its frames still hold its transcript.
    """

    key: int
    fewest: int = 1

    @property
    def uniform(self) -> float:
        """A number in [0, 1), always the same: the one that `lengths` gets."""
        return uniform_of(self.key)

    @cached_property
    def random(self) -> np.random.Generator:
        """A generator of further numbers, independent of `uniform`."""
        return np.random.Generator(np.random.Philox(key=self.key))


def uniform_of(key: int) -> float:
    """Map a key to a number in [0, 1)."""
    return (key & ((1 << 53) - 1)) * _UNIT


class Augmentation:
    """Base class of both kinds."""

    @property
    def is_on(self) -> bool:
        """Whether the settings ask for any change; unless overridden, whether one differs from its default."""
        return self != type(self)()


class WaveformAugmentation(Augmentation):
    """Changes recordings, 16 kHz int16. It runs in the threads that read audio."""

    @property
    def versions(self) -> int | None:
        """Number of different results that a recording can have; None: no result is ever repeated.

        Front-end features are cached only if results repeat.
        """
        return None

    def version(self, samples: int, draw: Draw) -> int:
        """Return which of the `versions` is drawn; 0 is the unchanged recording."""
        raise NotImplementedError

    def lengths(self, samples_N: np.ndarray, fewest_N: np.ndarray, uniform_N: np.ndarray) -> np.ndarray:
        """Return the samples of recordings after `apply`, int64 [N]; needed before any audio is read.

        Args:
            samples_N: their samples before.
            fewest_N: samples that they must keep, see `Draw.fewest`.
            uniform_N: their `Draw.uniform`.
        """
        return samples_N

    def longest(self, samples: int) -> int:
        """Return the most samples that `apply` can make of `samples`."""
        return samples

    def apply(self, audio_S: np.ndarray, draw: Draw) -> np.ndarray:
        """Return the changed recording, int16; as long as `lengths` says. It may change `audio_S` itself."""
        raise NotImplementedError


class SpectralAugmentation(Augmentation):
    """Masks frames and channels of the front end's output; a masked frame is replaced by the base's mask vector."""

    def generator(self, key: int) -> np.random.Generator:
        """Return the random numbers for the utterance with this key, other ones for every augmentation."""
        own = hashlib.blake2b(type(self).__name__.encode(), digest_size=8).digest()
        return np.random.Generator(np.random.Philox(key=key | int.from_bytes(own, "little") << 64))

    def mask(self, time_T: np.ndarray, channel_H: np.ndarray, random: np.random.Generator) -> None:
        """Set the frames and channels to mask to True, in place."""
        raise NotImplementedError


Kind = TypeVar("Kind", bound=Augmentation)


@lru_cache(maxsize=4096)
def augmentations(section: Augmentation, kind: type[Kind]) -> tuple[Kind, ...]:
    """Return the augmentations of a kind that are on, in the order of the section's bases."""
    own = [base for base in type(section).__bases__ if issubclass(base, kind)]
    made = [base(**{each.name: getattr(section, each.name) for each in fields(base)}) for base in own]  # type: ignore[arg-type]
    return tuple(each for each in made if each.is_on)
