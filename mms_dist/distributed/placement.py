"""Decide which ranks own which language: a pure function of the active set.

A language is owned by a rank group, whose ranks split its batch. Every rank computes the same placement from the same
active set, without communication and without history. So a restarted run has the same placement as a run that was
never stopped.

A round takes as long as its busiest rank, so the goal is an even load. It should also use few copies, because the
owners of a shared language must sum their gradients. Languages are placed longest batch first, each on the smallest
group where no rank's load exceeds the mean by more than `TOLERANCE`. Small groups are tried first, so a run with many
languages shares few of them or none; when few languages are left, groups grow.

A language probes the groups of a level starting at its home, a rank given by a hash of its code (linear probing with
bounded loads, as in Mirrokni et al. 2018, "Consistent Hashing with Bounded Loads"). So when one language leaves, few
others move. Homes are nested: the first group a language tries on one level lies inside the first one it tries on the
next.

Legend: W ranks of the world.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from mms_dist.data.language_summaries import Work
from mms_dist.distributed.rank_groups import RankGroup, even_levels, levels
from mms_dist.distributed.rank_loads import RankLoads, home_rank

__all__ = ["RankGroup", "Work", "capacity", "place"]

TOLERANCE = 0.02
"""How far the busiest rank's load may exceed the mean. The search for a more even placement then ends."""

GRAINS = (math.inf, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
"""Largest share of a language that one rank may hold, relative to the target load. Smaller shares make the load more
even but take more copies."""

_ROUNDING = 1e-9  # rounding error of sums of shares, far below any share


def capacity(*, world: int, slots: int, replicate: bool = False) -> int:
    """The number of languages that can be active at once."""
    return slots if replicate else world * slots


def place(active: Iterable[Work], *, world: int, slots: int, replicate: bool = False) -> dict[str, RankGroup]:
    """Choose the owners of every active language.

    Args:
        active: at most `capacity(...)` languages, in any order.
        world: number of ranks.
        slots: number of languages that a rank can hold.
        replicate: every rank owns every language, whatever the load.

    Returns:
        A rank group for each language, by code. No rank is in more than `slots` groups; any two groups are nested or
        disjoint.
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
    """Return the first placement that is even enough, or else the most even one with the fewest copies.

    The first strategy moves the fewest languages when one leaves. If the world size is not a power of two, the groups
    truncated at its end make the last few languages uneven, so the strategy is also tried without truncated groups. If
    slots are scarce, few languages can be shared, and it matters which languages share a rank. If batches differ in
    length, the loads become so uneven that no group has room; then every language goes to the least loaded group, in
    smaller and smaller shares as long as that helps.
    """
    full = len(works) == world * slots
    shapes = [(1,)] if full else list(dict.fromkeys((levels(world), even_levels(world))))
    bound = (1 + TOLERANCE) * _least_max_load(works, world, shapes)
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
    """Placement strategies and the levels they use, in batches; try the next batch only if the last one helped."""
    first_fit, whole = partial(_put_first_fit, works, bound=bound), partial(_put_whole, works, bound=bound)
    least_loaded = [partial(_put_least_loaded, works, bound=bound, max_share=bound * grain) for grain in grains]
    yield [
        *((first_fit, sizes) for sizes in shapes),
        (whole, (1,)),
        *((way, sizes) for way in least_loaded[:2] for sizes in shapes),
    ]
    for way in least_loaded[2:]:
        yield [(way, sizes) for sizes in shapes]


def _least_max_load(works: Sequence[Work], world: int, shapes: Sequence[Sequence[int]]) -> float:
    """A lower bound of the busiest rank's load.

    It is the mean, or the share of a language that cannot be split further. If all batches have the same length, every
    load is also a multiple of the common divisor of the smallest shares.
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
    """Put each language on the smallest group within the bound, the first one from its home on."""
    return _put_smallest(works, rank_loads, bound, math.inf, rank_loads.first_fit)


def _put_least_loaded(works: Sequence[Work], rank_loads: RankLoads, bound: float, max_share: float) -> RankLoads:
    """Put each language on the least loaded of the smallest groups within the bound, in shares of at most
    `max_share`."""
    return _put_smallest(works, rank_loads, bound, max_share, rank_loads.least_loaded_fit)


def _put_smallest(
    works: Sequence[Work],
    rank_loads: RankLoads,
    bound: float,
    max_share: float,
    fit: Callable[[int, int, float, float], int | None],
) -> RankLoads:
    """Put each language on the smallest group that `fit` finds within the bound, or else on the least loaded one.

    If a load exceeds the bound, it becomes the bound for the languages that follow: sharing them more would not make
    the round shorter.
    """
    # Loads only grow: once a level has no room for a batch, it has none for an equal or longer one.
    refused = [math.inf] * len(rank_loads.sizes)
    for number, work in enumerate(works):
        home = home_rank(work.language, rank_loads.world)
        spare = rank_loads.free_slots - (len(works) - number)  # slots that the remaining languages do not need
        most = min(work.most_owners, spare + 1)
        allowed = [level for level, size in enumerate(rank_loads.sizes) if size == 1 or size <= most]
        fine = [level for level in allowed if work.seconds <= max_share * rank_loads.sizes[level]]
        for level in fine or allowed[-1:]:
            if work.seconds >= refused[level]:
                continue
            group = fit(level, home, work.seconds, bound)
            if group is not None:
                rank_loads.put(work, level, group)
                break
            refused[level] = work.seconds
        else:
            level, group = rank_loads.least_loaded(allowed, home, work.seconds)
            rank_loads.put(work, level, group)
            if rank_loads.max_load > bound:
                bound = rank_loads.max_load
                refused = [math.inf] * len(rank_loads.sizes)
    return rank_loads


def _put_whole(works: Sequence[Work], rank_loads: RankLoads, bound: float) -> RankLoads:
    """Put each language on one rank where the present load and the average of what is still to come stay in bound.

    If there is no such rank, for example for a batch above the average, use the least loaded rank (longest processing
    time first).
    """
    languages_per_rank = len(works) / rank_loads.world
    rest = math.fsum(work.seconds for work in works)
    for number, work in enumerate(works):
        rest = max(0.0, rest - work.seconds)
        remaining = len(works) - number - 1
        mean = rest / remaining if remaining else 0.0
        to_come_W = mean * np.maximum(0.0, languages_per_rank - 1 - rank_loads.held_W)
        rank_loads.put(
            work, 0, rank_loads.fit_whole(home_rank(work.language, rank_loads.world), to_come_W, bound - work.seconds)
        )
    return rank_loads
