"""Simulate when and where each language trains, with the scheduler and placement that training uses.

The placement only changes when a language ends, so a run of thousands of rounds has only a few phases. Every language
is assumed to use all of its steps; early stopping makes a run shorter.

Legend: W ranks.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.data.language_summaries import LanguageSummary, Work
from mms_dist.distributed.placement import RankGroup
from mms_dist.training.scheduler import LanguageScheduler, QueuedLanguage, Ranks, order_of_admission


@dataclass(frozen=True)
class Phase:
    """Rounds with the same languages on the same ranks. `works` and `placement` are by code; `waiting` is the number
    of languages in the queue."""

    first_round: int
    rounds: int
    works: dict[str, Work]
    placement: dict[str, RankGroup]
    waiting: int

    def loads(self, world: int) -> np.ndarray:
        """Return the audio of a round on each rank, in seconds [W]."""
        loads_W = np.zeros(world)
        for language, group in self.placement.items():
            loads_W[group.first : group.first + group.size] += self.works[language].seconds / group.size
        return loads_W

    def held(self, world: int) -> np.ndarray:
        """Return the number of languages on each rank, int [W]."""
        held_W = np.zeros(world, dtype=np.int64)
        for group in self.placement.values():
            held_W[group.first : group.first + group.size] += 1
        return held_W


def phases(summaries: Iterable[LanguageSummary], ranks: Ranks) -> Iterator[Phase]:
    """Yield the phases of a run from the first round to the last."""
    entries = {entry.language: entry for entry in summaries}
    queue = order_of_admission(QueuedLanguage.of(entry) for entry in entries.values())
    scheduler = LanguageScheduler(ranks, present=[], queue=queue, ended=0)
    left: dict[str, int] = {}
    done = 0
    while True:
        left |= {language: entries[language].steps for language in scheduler.fill(done)}
        if not left:
            return
        scheduler.place()
        rounds = min(left.values())
        works = {language: queued.work for language, queued in scheduler.active.items()}
        yield Phase(done + 1, rounds, works, scheduler.placement, scheduler.waiting)
        done += rounds
        left = {language: steps - rounds for language, steps in left.items() if steps > rounds}
        scheduler.release([language for language in scheduler.in_order() if language not in left])


def least_seconds(summaries: Sequence[LanguageSummary], world: int) -> float:
    """Return a lower bound on the audio of the busiest rank, for any schedule.

    It is the larger of the work spread evenly, and the longest language split over as many owners as possible.
    """
    total = math.fsum(entry.work_seconds() for entry in summaries)
    longest = max(entry.work_seconds() / min(world, entry.work.most_owners) for entry in summaries)
    return max(total / world, longest)
