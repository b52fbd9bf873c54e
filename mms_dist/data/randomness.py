"""Keyed randomness: every random choice is a function of what it is about, never of what was drawn before.

Keys are hashed with BLAKE2b and numbers come from the raw words of a counter-based generator: both are the
same on every platform, Python and numpy version, which numpy's distributions and `hash()` are not.
"""

import hashlib

import numpy as np

from mms_dist.data.utterance_id import UtteranceId

_UNIT = 2.0**-53


def _digest(domain: bytes, parts: tuple[int | str, ...], size: int) -> int:
    """Hash of `parts` as an unsigned integer of `size` bytes; NUL, which no part contains, separates them."""
    text = "\0".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, person=domain).digest()
    return int.from_bytes(digest, "little")


def random_key(seed: int, utterance: UtteranceId, epoch: int) -> int:
    """Key in [0, 2**63) of the random stream (dropout, SpecAugment) of one utterance in one epoch."""
    parts = (seed, utterance.language, utterance.split, utterance.row, epoch)
    return _digest(b"utterance row", parts, 8) & (2**63 - 1)


def selection_key(utterance: UtteranceId) -> int:
    """Key in [0, 2**64) by which utterances are chosen when only some are evaluated: the same in every run."""
    return _digest(b"selection", (utterance.language, utterance.split, utterance.row), 8)


def epoch_generator(seed: int, language: str, epoch: int) -> np.random.Philox:
    """The source of random words for the plan of one epoch of one language."""
    return np.random.Philox(key=_digest(b"epoch", (seed, language, epoch), 16))


def unit_interval(words: np.ndarray) -> np.ndarray:
    """Uniform float64 in [0, 1) from uint64 `words`, exact (53 bits) and so the same on every platform."""
    return (words >> np.uint64(11)).astype(np.float64) * _UNIT
