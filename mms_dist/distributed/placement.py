"""Which ranks own which language: a pure function of the active set.

A language is owned by a block of ranks that split its batch. Every rank computes the same placement from the same
active set, without a message and without a history, so that a run that goes on after a restart has the placement of
the run that was never stopped.

A round lasts as long as its busiest rank, so the aim is an even load; and no more copies than that takes, since the
owners of a shared language sum their gradients. The languages go, the longest batch first, each to the smallest block
on which no rank's load exceeds the mean by more than `TOLERANCE`. Small blocks come first, so a run with many
languages shares few of them or none, and when languages become few, blocks grow by themselves.

A language probes the blocks of a level from its home on, a rank given by a hash of its code (linear probing, with
bounded loads as in Mirrokni et al. 2018, "Consistent Hashing with Bounded Loads"): when one language leaves, few of the
others move. Homes are nested: where a language looks first on a level lies inside of where it looks first on the
next.

Legend: W ranks of the world.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from mms_dist.distributed.rank_groups import RankGroup, Work, even_levels, levels
from mms_dist.distributed.rank_loads import RankLoads, home_rank

__all__ = ["RankGroup", "Work", "capacity", "place"]

TOLERANCE = 0.02
"""The busiest rank's load above the mean at which the search for an evener placement ends."""

GRAINS = (math.inf, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""Largest shares, of the load that is aimed at: with smaller ones ranks become evener, and copies more."""

_ROUNDING = 1e-9  # of sums of shares: far below any share


def capacity(*, world: int, slots: int, replicate: bool = False) -> int:
    """How many languages can be active at once."""
    return slots if replicate else world * slots


def place(active: Iterable[Work], *, world: int, slots: int, replicate: bool = False) -> dict[str, RankGroup]:
    """The owners of every active language.

    Args:
        active: at most `capacity(...)` languages, in any order.
        world: ranks.
        slots: languages that a rank can hold.
        replicate: every rank owns every language, whatever that makes of the load.

    Returns:
        A block for each language, by code. No rank is in more than `slots` of them; any two are nested or apart.
    """
    works = sorted(active, key=lambda work: (-work.seconds, work.language))
    assert len({work.language for work in works}) == len(works), "a language is active once"
    assert len(works) <= capacity(world=world, slots=slots, replicate=replicate), "more languages than slots"
    assert all(0 < work.seconds < math.inf and work.most_owners >= 1 for work in works), "work takes time"
    if replicate or world == 1:
        return {work.language: RankGroup(0, world) for work in sorted(works, key=lambda work: work.language)}
    found = _best(works, world, slots)
    return {language: found.groups[language] for language in sorted(found.groups)}


def _best(works: Sequence[Work], world: int, slots: int) -> RankLoads:
    """The first way of placing that is even enough, or else the evenest, with the fewest copies.

    The first way moves the fewest languages when one leaves. Blocks that are cut at the end of a world that is not a
    power of two spoil the evenness of the last few languages, so there it has a variant without. Where slots are
    short, few languages can be shared, and it counts who is put together with whom. And where batches differ
    in length, gaps of all heights leave no room for a block, unless every language goes where it is lowest, and in
    smaller shares as long as that helps.
    """
    full = len(works) == world * slots
    shapes = [(1,)] if full else list(dict.fromkeys((levels(world), even_levels(world))))
    bound = (1 + TOLERANCE) * _least_height(works, world, shapes)
    best: RankLoads | None = None
    for ways in _ways(works, bound, shapes, grains=() if full else GRAINS):
        before = best
        for way, sizes in ways:
            rank_loads = way(RankLoads(world, slots, sizes))
            if rank_loads.max_load <= bound:
                return rank_loads
            if best is None or (rank_loads.max_load, rank_loads.copies) < (best.max_load, best.copies):
                best = rank_loads
        if best is before:
            break
    assert best is not None, "there is a way"
    return best


def _ways(
    works: Sequence[Work], bound: float, shapes: Sequence[Sequence[int]], *, grains: Sequence[float]
) -> Iterator[list[tuple[Callable[[RankLoads], RankLoads], Sequence[int]]]]:
    """Ways of placing and the levels they place on, in groups, of which the next is worth trying if the last was."""
    first_fit, whole = partial(_put_first_fit, works, bound=bound), partial(_put_whole, works, bound=bound)
    low = [partial(_put_low, works, bound=bound, grain=bound * grain) for grain in grains]
    yield [
        *((first_fit, sizes) for sizes in shapes),
        (whole, (1,)),
        *((way, sizes) for way in low[:2] for sizes in shapes),
    ]
    for way in low[2:]:
        yield [(way, sizes) for sizes in shapes]


def _least_height(works: Sequence[Work], world: int, shapes: Sequence[Sequence[int]]) -> float:
    """Load of the busiest rank in the best case.

    That is the mean, or the share of a language that cannot be cut finer. If all batches are of one length, any load is
    also a multiple of what the smallest shares have in common.
    """
    sizes = sorted({size for shape in shapes for size in shape})
    finest = max((work.seconds / _largest(work, sizes) for work in works), default=0.0)
    least = max(math.fsum(work.seconds for work in works) / world, finest)
    if len({work.seconds for work in works}) == 1:
        largest = max(_largest(work, sizes) for work in works)
        cut = {world % size for size in sizes if size <= largest} - {0}
        unit = works[0].seconds / math.lcm(*(size for size in sizes if size <= largest), *cut)
        least = math.ceil(least / unit * (1 - _ROUNDING)) * unit
    return least


def _largest(work: Work, sizes: Sequence[int]) -> int:
    return max(size for size in sizes if size <= work.most_owners)


def _put_first_fit(works: Sequence[Work], rank_loads: RankLoads, bound: float) -> RankLoads:
    """Each language on the smallest block that keeps within the bound, the first from its home on."""
    return _put_smallest(works, rank_loads, bound, math.inf, rank_loads.first_fit)


def _put_low(works: Sequence[Work], rank_loads: RankLoads, bound: float, grain: float) -> RankLoads:
    """Each language on the smallest block that keeps within the bound, the lowest of them, in shares of a grain at
    most."""
    return _put_smallest(works, rank_loads, bound, grain, rank_loads.low_fit)


def _put_smallest(
    works: Sequence[Work],
    rank_loads: RankLoads,
    bound: float,
    grain: float,
    fit: Callable[[int, int, float, float], int | None],
) -> RankLoads:
    """Each language on the smallest block that `fit` finds within the bound; where there is none, the lowest.

    What has been reached is the bound of those that follow: a round is not shorter for their sharing.
    """
    refused = [math.inf] * len(
        rank_loads.sizes
    )  # loads only grow: what a level refused once, it refuses to the next as big
    for number, work in enumerate(works):
        home = home_rank(work.language, rank_loads.world)
        spare = rank_loads.free_slots - (len(works) - number)  # slots that those yet to come can do without
        most = min(work.most_owners, spare + 1)
        allowed = [level for level, size in enumerate(rank_loads.sizes) if size == 1 or size <= most]
        fine = [level for level in allowed if work.seconds <= grain * rank_loads.sizes[level]]
        for level in fine or allowed[-1:]:
            if work.seconds >= refused[level]:
                continue
            group = fit(level, home, work.seconds, bound)
            if group is not None:
                rank_loads.put(work, level, group)
                break
            refused[level] = work.seconds
        else:
            level, group = rank_loads.lowest(allowed, home, work.seconds)
            rank_loads.put(work, level, group)
            if rank_loads.max_load > bound:
                bound = rank_loads.max_load
                refused = [math.inf] * len(rank_loads.sizes)
    return rank_loads


def _put_whole(works: Sequence[Work], rank_loads: RankLoads, bound: float) -> RankLoads:
    """Each language on one rank, where what is there and what is still to come, on average, keep within the bound.

    Where that is nowhere, as with a batch above the average, the emptiest rank (longest processing time first).
    """
    each = len(works) / rank_loads.world
    rest = math.fsum(work.seconds for work in works)
    for number, work in enumerate(works):
        rest = max(0.0, rest - work.seconds)
        still = len(works) - number - 1
        mean = rest / still if still else 0.0
        to_come_W = mean * np.maximum(0.0, each - 1 - rank_loads.held_W)
        rank_loads.put(
            work, 0, rank_loads.fit_whole(home_rank(work.language, rank_loads.world), to_come_W, bound - work.seconds)
        )
    return rank_loads
