"""Find recordings that are copies of others, by their fingerprints.

Legend: N recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shards.flags.fingerprint import BINS

LEAST_EQUAL = 12
"""Fewer equal bytes than this may be chance, of however few."""

_COMPARED_DIRECTLY = 10_000
_BAND_BYTES, _BANDS, _MOST_APART = 3, 256, 16


def earlier_copies(fingerprints: Sequence[bytes], least: float) -> NDArray[np.int64]:
    """Return the first recording before each one of which it is a copy, int64 `[N]`; -1 if there is none.

    Two recordings are copies if the share of equal bytes, among those that neither fingerprint leaves empty, is at
    least `least`, and `LEAST_EQUAL` bytes are equal. Up to 10,000 recordings are all compared with one another. Of
    more, those are compared that are equal in one of 256 bands of three bytes. Two with 23 equal bytes of 64, fewer
    than most copies have, then miss each other once in 50,000 times, and with 16 once in 40 times. (Of recordings that
    are equal in a band to more than 16 others, each is compared with the 16 before it.)
    """
    first_N = np.full(len(fingerprints), -1, np.int64)
    usable = np.array([row for row, each in enumerate(fingerprints) if each], np.int64)
    prints = np.frombuffer(b"".join(fingerprints), np.uint8).reshape(-1, BINS)
    pairs = _all_pairs(prints) if len(prints) <= _COMPARED_DIRECTLY else _pairs_of_bands(prints)
    for earlier, later in pairs:
        is_copy = _are_copies(prints[earlier], prints[later], least)
        for one, other in zip(usable[earlier[is_copy]].tolist(), usable[later[is_copy]].tolist(), strict=True):
            if first_N[other] < 0 or one < first_N[other]:
                first_N[other] = one
    return first_N


def equal_bytes(one: bytes, other: bytes) -> tuple[int, int]:
    """Return the number of equal bytes of two fingerprints, and the number of those that neither leaves empty."""
    first, second = np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)
    both = (first > 0) & (second > 0)
    return int(np.count_nonzero(both & (first == second))), int(np.count_nonzero(both))


def _are_copies(first: NDArray[np.uint8], second: NDArray[np.uint8], least: float) -> NDArray[np.bool_]:
    equal = np.count_nonzero((first == second) & (first > 0), axis=1)
    both = np.count_nonzero((first > 0) & (second > 0), axis=1)
    return np.asarray((equal >= LEAST_EQUAL) & (equal >= least * both))


def _all_pairs(prints: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    for later in range(1, len(prints)):
        yield np.arange(later), np.full(later, later)


def _pairs_of_bands(prints: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs that are equal in a band: three bytes that are chosen at random, the same for all."""
    generator = np.random.Generator(np.random.Philox(0))
    for _ in range(_BANDS):
        chosen = prints[:, generator.permutation(BINS)[:_BAND_BYTES]].astype(np.uint32)
        value = (chosen[:, 0] << 16) | (chosen[:, 1] << 8) | chosen[:, 2]
        rows = np.flatnonzero((chosen > 0).all(axis=1))
        rows = rows[np.argsort(value[rows], kind="stable")]
        for apart in range(1, _MOST_APART + 1):
            is_equal = value[rows[apart:]] == value[rows[:-apart]]
            if not is_equal.any():
                break
            yield rows[:-apart][is_equal], rows[apart:][is_equal]
