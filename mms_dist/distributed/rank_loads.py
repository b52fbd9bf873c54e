"""The load of every rank while languages are being placed.

Legend: W ranks of the world, K groups of a level.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from mms_dist.data.language_summaries import Work
from mms_dist.distributed.rank_groups import RankGroup

_HASH_BITS = 64


def home_rank(language: str, world: int) -> int:
    """The rank at which the search for a language's owners starts; the same in every process and every release."""
    digest = hashlib.blake2b(language.encode(), digest_size=_HASH_BITS // 8).digest()
    return int.from_bytes(digest, "big") * world >> _HASH_BITS


class RankLoads:
    """The load of every rank.

    Attributes:
        groups: the owners of each language placed so far.
        max_load: load of the busiest rank.
        free_slots: number of free slots of all ranks together.
        held_W: number of languages on each rank, int [W].
    """

    def __init__(self, world: int, slots: int, sizes: Sequence[int]) -> None:
        self.world, self.sizes = world, sizes
        self.groups: dict[str, RankGroup] = {}
        self.max_load = 0.0
        self.free_slots = world * slots
        self._slots = slots
        self.held_W = np.zeros(world, dtype=np.int64)
        # [K] for each level: the largest load in each group, infinite if one of its ranks has no free slot.
        self._loads = [np.zeros(-(-world // size)) for size in sizes]

    @property
    def copies(self) -> int:
        return sum(group.size for group in self.groups.values())

    def put(self, work: Work, level: int, number: int) -> None:
        """Place a language on group `number` of a level."""
        group = self._group(level, number)
        end = group.first + group.size
        self.groups[work.language] = group
        self.free_slots -= group.size
        self.held_W[group.first : end] += 1
        for size, loads_K in zip(self.sizes[: level + 1], self._loads, strict=False):
            loads_K[group.first // size : -(-end // size)] += work.seconds / group.size
        largest = self._loads[level][number]
        self.max_load = max(self.max_load, largest)
        full = group.first + np.flatnonzero(self.held_W[group.first : end] == self._slots)
        for size, loads_K in zip(self.sizes, self._loads, strict=True) if len(full) else ():
            loads_K[full // size] = math.inf
        for size, loads_K in zip(self.sizes[level + 1 :], self._loads[level + 1 :], strict=True):
            if loads_K[group.first // size] >= largest:
                break  # and so do all groups that contain this one
            loads_K[group.first // size] = largest

    def first_fit(self, level: int, home: int, seconds: float, bound: float) -> int | None:
        """The first group, from the home on, where no rank would exceed the bound."""
        start = home // self.sizes[level]
        if self._loads[level][start] + seconds / self._group(level, start).size <= bound:
            return start
        fits_K = self._loads_with(level, seconds) <= bound
        number = _first(fits_K, start)
        return number if fits_K[number] else None

    def least_loaded_fit(self, level: int, home: int, seconds: float, bound: float) -> int | None:
        """The least loaded group, the first from the home on among equals, if no rank would exceed the bound."""
        loads_K = self._loads_with(level, seconds)
        least = loads_K.min()
        return _first(loads_K == least, home // self.sizes[level]) if least <= bound else None

    def least_loaded(self, allowed: Sequence[int], home: int, seconds: float) -> tuple[int, int]:
        """Level and number of the group with the least load after adding the language; among equals, the smallest
        group nearest its home.

        There always is one: level 0 is allowed, and a rank has a free slot.
        """
        best = (math.inf, 0, 0)
        for level in allowed:
            loads_K = self._loads_with(level, seconds)
            max_load = float(loads_K.min())
            if max_load < best[0]:
                best = (max_load, level, _first(loads_K == max_load, home // self.sizes[level]))
        assert best[0] < math.inf, "a rank has a free slot"
        return best[1:]

    def fit_whole(self, home: int, to_come_W: np.ndarray, bound: float) -> int:
        """The first rank, from the home on, within the bound with the load to come; else the least loaded."""
        loads_W = self._loads[0] + to_come_W
        fits_W = loads_W <= bound
        return _first(fits_W if fits_W.any() else loads_W == loads_W.min(), home)

    def _loads_with(self, level: int, seconds: float) -> np.ndarray:
        """Loads [K] of a level's groups if a language with a batch of `seconds` were added to each."""
        loads_K = self._loads[level] + seconds / self.sizes[level]
        last = len(loads_K) - 1
        loads_K[last] = self._loads[level][last] + seconds / self._group(level, last).size
        return loads_K

    def _group(self, level: int, number: int) -> RankGroup:
        first = number * self.sizes[level]
        return RankGroup(first, min(self.sizes[level], self.world - first))


def _first(true_K: np.ndarray, start: int) -> int:
    """The first true position from `start` on, wrapping around; `start` if there is none."""
    return (start + int(np.roll(true_K, -start).argmax())) % len(true_K)
