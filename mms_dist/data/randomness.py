"""Keyed randomness: every random choice depends only on its own key, never on earlier draws.

Keys are hashed with BLAKE2b, and numbers come from the raw words of a counter-based generator. Both are the same on
every platform and version of Python and numpy; numpy's distributions and `hash()` are not.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from mms_dist.data.utterance_id import UtteranceId

_UNIT = 2.0**-53


def _digest(domain: bytes, parts: Iterable[object], size: int) -> int:
    """Hash `parts`, separated by NUL (which no part contains), to an unsigned integer of `size` bytes."""
    text = "\0".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, person=domain).digest()
    return int.from_bytes(digest, "little")


def random_key(seed: int, utterance: UtteranceId, epoch: int, repeat: int = 0) -> int:
    """Return the key in [0, 2**63) of the random stream (dropout, SpecAugment) of an utterance in one epoch.

    `repeat` counts how often it has come before in that epoch.
    """
    parts = [seed, utterance.language, utterance.split, utterance.row, epoch, *_again(repeat)]
    return _digest(b"utterance row", parts, 8) & (2**63 - 1)


def waveform_key(seed: int, utterance: UtteranceId, epoch: int, augmentation: str, repeat: int = 0) -> int:
    """Return the key in [0, 2**128) of what a waveform augmentation draws for an utterance in one epoch."""
    parts = [seed, utterance.language, utterance.split, utterance.row, epoch, augmentation, *_again(repeat)]
    return _digest(b"waveform", parts, 16)


def condition_key(utterance: UtteranceId, condition: str) -> int:
    """Return the key in [0, 2**128) of what a kind of condition draws for an utterance; the same for every model."""
    return _digest(b"condition", (utterance.language, utterance.split, utterance.row, condition), 16)


def _again(repeat: int) -> tuple[int, ...]:
    """Return what a key has for a repeated utterance; nothing for its first time, whose keys are as ever."""
    return (repeat,) if repeat else ()


def selection_key(utterance: UtteranceId) -> int:
    """Return a key in [0, 2**64) for selecting the utterances to evaluate; the same in every run."""
    return _digest(b"selection", (utterance.language, utterance.split, utterance.row), 8)


def epoch_generator(seed: int, language: str, epoch: int) -> np.random.Philox:
    """Return the source of random words for the plan of one epoch of one language."""
    return np.random.Philox(key=_digest(b"epoch", (seed, language, epoch), 16))


def order_generator(seed: int, language: str, purpose: str) -> np.random.Philox:
    """Return the source of random words for an order of a language's utterances that is the same in all epochs."""
    return np.random.Philox(key=_digest(b"order", (seed, language, purpose), 16))


def unit_interval(words: np.ndarray) -> np.ndarray:
    """Map uint64 `words` to uniform float64 in [0, 1); exact (53 bits), so the same on every platform."""
    return (words >> np.uint64(11)).astype(np.float64) * _UNIT
