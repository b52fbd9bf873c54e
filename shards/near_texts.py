"""Find sentences that are nearly the same.

The similarity of two is the Jaccard index of the sets of five characters in a row, spaces included. Sets of at least
this similarity have at least c = ceil(least |x|) elements in common. With the elements of both in one order, the first
k of these are among the first |x| - c + k of each set (prefix filter: Chaudhuri et al. 2006, A primitive operator for
similarity joins in data cleaning). The rarest come first, so few pairs have to be compared.

Legend: N sentences; P pieces of five characters, of all sentences together.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR = 0.6
"""Two sentences are nearly the same from this similarity on; with one word in ten replaced it is 0.65 to 0.75."""
_SHINGLE = 5
_SHARED = 2
"""Elements of their prefixes that candidates must share. More make prefixes longer; the result is the same."""
_CHUNK = 50_000
_COUNTERS = 1 << 22
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MOST_APART = 64
_SIGNATURE = 32
_PAIRS = 1 << 20


@dataclass(frozen=True, slots=True)
class NearTexts:
    """A sentence that is held out, one of training that is nearly the same, and their similarity from 0 to 1."""

    held_out: str
    train: str
    similarity: float


def near_texts(held_out: Sequence[str], train: Iterable[str], *, least: float = NEAR) -> Iterator[NearTexts]:
    """Yield every held-out sentence that has one of at least this similarity in training, with the first such one.

    Equal sentences are not reported. The search is exact. Memory grows with the held-out sentences only.
    """
    texts = list(dict.fromkeys(held_out))
    sets = [shingles(text) for text in texts]
    counts = Counter(shingle for each in sets for shingle in each)
    places: dict[str, list[int]] = defaultdict(list)
    for number, each in enumerate(sets):
        for shingle in _prefix(each, counts, least):
            places[shingle].append(number)
    left = set(range(len(texts)))
    for text in dict.fromkeys(train):
        own = shingles(text)
        shared = Counter(number for one in _prefix(own, counts, least) for number in places.get(one, ()))
        enough = min(_SHARED, math.ceil(least * len(own)))
        fewest, most = least * len(own), len(own) / least
        for number in sorted(number for number, count in shared.items() if count >= enough and number in left):
            if not fewest <= len(sets[number]) <= most:
                continue
            found = len(own & sets[number]) / len(own | sets[number])
            if found >= least and text != texts[number]:
                left.discard(number)
                yield NearTexts(texts[number], text, found)


def earlier_texts(texts: Sequence[str], least: float) -> NDArray[np.int64]:
    """Return the first sentence before each one that is equal or at least so similar, int64 `[N]`; -1: there is none.

    Of more than 64 sentences with a rare piece in common, each is compared with the 64 before it. Pairs whose estimated
    similarity is six standard deviations too low are not compared.
    """
    first: dict[str, int] = {}
    same_N = np.array([first.setdefault(text, row) for row, text in enumerate(texts)], np.int64)
    different, row_of = list(first), np.array(list(first.values()), np.int64)
    near = np.full(len(different), -1, np.int64)
    own: tuple[int, set[str]] = -1, set()
    for one, other in _candidates(different, least):
        if near[other] >= 0:
            continue
        if own[0] != other:
            own = other, shingles(different[other])
        before = shingles(different[one])
        if len(own[1] & before) >= least * len(own[1] | before):
            near[other] = one
    near_N = np.where(near >= 0, row_of[near], -1)[np.searchsorted(row_of, same_N)] if len(texts) else same_N
    return np.where(near_N >= 0, near_N, np.where(same_N < np.arange(len(texts)), same_N, -1))


def similarity(one: str, other: str) -> float:
    """Return the similarity of two sentences, from 0 to 1."""
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


def shingles(text: str) -> set[str]:
    """Return the set of five characters in a row."""
    return {text[start : start + _SHINGLE] for start in range(max(1, len(text) - _SHINGLE + 1))}


def _prefix(found: set[str], counts: Counter[str], least: float) -> list[str]:
    """Return the prefix of the set, the rarest among the held-out sentences first."""
    length = len(found) - math.ceil(least * len(found)) + _SHARED
    return sorted(found, key=lambda one: (counts[one], one))[:length]


def _candidates(texts: Sequence[str], least: float) -> Iterator[tuple[int, int]]:
    """Yield pairs of different sentences that may be similar, the later one second, in the order of that."""
    starts = range(0, len(texts), _CHUNK)
    counts = np.zeros(_COUNTERS, np.uint32)
    for start in starts:
        piece_P = _hashed_shingles(texts[start : start + _CHUNK])[0]
        counts += np.bincount(piece_P % _COUNTERS, minlength=_COUNTERS).astype(np.uint32)
    pieces, owners, sizes, signed = [], [], [], []
    for start in starts:
        piece_P, owner_P, size = _hashed_shingles(texts[start : start + _CHUNK])
        order = np.lexsort((piece_P, counts[piece_P % _COUNTERS], owner_P))
        place_P = np.arange(len(order)) - (np.cumsum(size) - size)[owner_P[order]]
        is_prefix_P = place_P < (size - np.ceil(least * size).astype(np.int64) + 1)[owner_P[order]]
        pieces.append(piece_P[order][is_prefix_P])
        owners.append((owner_P[order][is_prefix_P] + start).astype(np.int64))
        sizes.append(size)
        signed.append(_signatures(piece_P, size))
    if not pieces:
        return
    piece, owner, size = np.concatenate(pieces), np.concatenate(owners), np.concatenate(sizes)
    signatures = np.concatenate(signed)
    fewest = _SIGNATURE * least - 6 * math.sqrt(_SIGNATURE * least * (1 - least))
    order = np.lexsort((owner, piece))
    piece, owner = piece[order], owner[order]
    pairs = [np.empty(0, np.int64)]
    for apart in range(1, _MOST_APART + 1):
        is_equal = piece[apart:] == piece[:-apart]
        if not is_equal.any():
            break
        one, other = owner[:-apart][is_equal], owner[apart:][is_equal]
        fits = np.flatnonzero(np.minimum(size[one], size[other]) >= least * np.maximum(size[one], size[other]))
        for start in range(0, len(fits), _PAIRS):
            some = fits[start : start + _PAIRS]
            equal = np.count_nonzero(signatures[one[some]] == signatures[other[some]], axis=1)
            some = some[equal >= fewest]
            pairs.append(np.unique(other[some] << 32 | one[some]))
    for pair in np.unique(np.concatenate(pairs)).tolist():
        yield pair & 0xFFFFFFFF, pair >> 32


def _signatures(piece_P: NDArray[np.uint64], size_N: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return 8 bits of 32 minimal hashes of each text's pieces (Li & König 2010, b-bit minwise hashing), `[N, 32]`.

    Two texts have as large a share of equal ones as their similarity, on average.
    """
    starts_N = np.cumsum(size_N) - size_N
    found = np.empty((len(size_N), _SIGNATURE), np.uint8)
    for number in range(_SIGNATURE):
        mixed_P = (piece_P ^ np.uint64(number * 0x9E3779B97F4A7C15 % 2**64)) * _FACTOR
        mixed_P ^= mixed_P >> np.uint64(32)
        mixed_P *= _FACTOR
        found[:, number] = (np.minimum.reduceat(mixed_P >> np.uint64(8), starts_N) & np.uint64(255)).astype(np.uint8)
    return found


def _hashed_shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the different pieces of each text as hashes `[P]`, the text of each piece, and the pieces of each text."""
    padded = [text.ljust(_SHINGLE, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in padded], np.int64)
    hashed = np.zeros(len(codes) - _SHINGLE + 1, np.uint64)
    for place in range(_SHINGLE):
        hashed = hashed * _FACTOR + codes[place : place + len(hashed)] + np.uint64(1)
    hashed ^= hashed >> np.uint64(29)
    owner = np.repeat(np.arange(len(texts)), lengths)[: len(hashed)]
    left = np.cumsum(lengths)[owner] - np.arange(len(hashed))
    hashed, owner = hashed[left >= _SHINGLE], owner[left >= _SHINGLE]
    order = np.lexsort((hashed, owner))
    hashed, owner = hashed[order], owner[order]
    is_new = np.append(True, (hashed[1:] != hashed[:-1]) | (owner[1:] != owner[:-1]))
    return hashed[is_new], owner[is_new], np.bincount(owner[is_new], minlength=len(texts))
