"""Where there is room: the ranks of a world, and what has been put on them.

Legend: W ranks of the world, K blocks of a level.
"""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

from mms_dist.distributed.rank_groups import RankGroup, Work

_HASH_BITS = 64


def home_rank(language: str, world: int) -> int:
    """The rank at which a language starts to look for its owners; the same in every process and every release."""
    digest = hashlib.blake2b(language.encode(), digest_size=_HASH_BITS // 8).digest()
    return int.from_bytes(digest, "big") * world >> _HASH_BITS


class RankLoads:
    """The ranks with what has been put on them.

    Attributes:
        blocks: the owners of each language that was put here.
        height: load of the busiest rank.
        free_slots: of all ranks together.
        held_W: languages on each rank, int [W].
    """

    def __init__(self, world: int, slots: int, sizes: Sequence[int]) -> None:
        self.world, self.sizes = world, sizes
        self.groups: dict[str, RankGroup] = {}
        self.max_load = 0.0
        self.free_slots = world * slots
        self._slots = slots
        self.held_W = np.zeros(world, dtype=np.int64)
        # [K] for each level: the largest load in each block, infinite if one of its ranks has no free slot.
        self._heights = [np.zeros(-(-world // size)) for size in sizes]

    @property
    def copies(self) -> int:
        return sum(group.size for group in self.groups.values())

    def put(self, work: Work, level: int, number: int) -> None:
        """Put a language on a block."""
        group = self._block(level, number)
        end = group.first + group.size
        self.groups[work.language] = group
        self.free_slots -= group.size
        self.held_W[group.first : end] += 1
        for size, heights_K in zip(self.sizes[: level + 1], self._heights, strict=False):
            heights_K[group.first // size : -(-end // size)] += work.seconds / group.size
        highest = self._heights[level][number]
        self.max_load = max(self.max_load, highest)
        full = group.first + np.flatnonzero(self.held_W[group.first : end] == self._slots)
        for size, heights_K in zip(self.sizes, self._heights, strict=True) if len(full) else ():
            heights_K[full // size] = math.inf
        for size, heights_K in zip(self.sizes[level + 1 :], self._heights[level + 1 :], strict=True):
            if heights_K[group.first // size] >= highest:
                break  # and so are those that hold this one
            heights_K[group.first // size] = highest

    def first_fit(self, level: int, home: int, seconds: float, bound: float) -> int | None:
        """The first block, from the home on, on which no rank comes to exceed the bound."""
        start = home // self.sizes[level]
        if self._heights[level][start] + seconds / self._block(level, start).size <= bound:
            return start
        fits_K = self._heights_with(level, seconds) <= bound
        number = _first(fits_K, start)
        return number if fits_K[number] else None

    def low_fit(self, level: int, home: int, seconds: float, bound: float) -> int | None:
        """The lowest block, of equals the first from the home on, if no rank comes to exceed the bound."""
        heights_K = self._heights_with(level, seconds)
        lowest = heights_K.min()
        return _first(heights_K == lowest, home // self.sizes[level]) if lowest <= bound else None

    def lowest(self, allowed: Sequence[int], home: int, seconds: float) -> tuple[int, int]:
        """Level and number of the block that is lowest with the language on it: of equals the smallest, nearest home.

        There is one: level 0 is allowed, and a rank has a free slot.
        """
        best = (math.inf, 0, 0)
        for level in allowed:
            heights_K = self._heights_with(level, seconds)
            max_load = float(heights_K.min())
            if max_load < best[0]:
                best = (max_load, level, _first(heights_K == max_load, home // self.sizes[level]))
        assert best[0] < math.inf, "a rank has a free slot"
        return best[1:]

    def fit_whole(self, home: int, to_come_W: np.ndarray, bound: float) -> int:
        """The first rank, from the home on, within the bound with what is to come; else the lowest."""
        heights_W = self._heights[0] + to_come_W
        fits_W = heights_W <= bound
        return _first(fits_W if fits_W.any() else heights_W == heights_W.min(), home)

    def _heights_with(self, level: int, seconds: float) -> np.ndarray:
        """Heights [K] as they would be with a language of so many seconds on the block."""
        heights_K = self._heights[level] + seconds / self.sizes[level]
        last = len(heights_K) - 1
        heights_K[last] = self._heights[level][last] + seconds / self._block(level, last).size
        return heights_K

    def _block(self, level: int, number: int) -> RankGroup:
        first = number * self.sizes[level]
        return RankGroup(first, min(self.sizes[level], self.world - first))


def _first(true_K: np.ndarray, start: int) -> int:
    """The first true position from `start` on, going round; `start` if there is none."""
    return (start + int(np.roll(true_K, -start).argmax())) % len(true_K)
