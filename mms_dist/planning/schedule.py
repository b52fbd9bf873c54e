"""Who trains when and where: the rounds of a run, simulated with the run's own queue and placement.

Nothing changes between two rounds at which a language ends, so a run of thousands of rounds is a few phases. Every
language is taken to use all of its steps; one that stops early makes a run shorter.

Legend: W ranks.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mms_dist.distributed.placement import Block, Work
from mms_dist.training.census import LanguageEntry
from mms_dist.training.roster import Candidate, Ranks, Roster, order_of_admission


@dataclass(frozen=True)
class Phase:
    """Rounds with the same languages on the same ranks. `works` and `placement` are by code; `waiting` languages are
    in the queue meanwhile."""

    first_round: int
    rounds: int
    works: dict[str, Work]
    placement: dict[str, Block]
    waiting: int

    def loads(self, world: int) -> np.ndarray:
        """Audio of a round on each rank, in seconds [W]."""
        loads_W = np.zeros(world)
        for language, block in self.placement.items():
            loads_W[block.first : block.first + block.size] += self.works[language].seconds / block.size
        return loads_W

    def held(self, world: int) -> np.ndarray:
        """Languages on each rank, int [W]."""
        held_W = np.zeros(world, dtype=np.int64)
        for block in self.placement.values():
            held_W[block.first : block.first + block.size] += 1
        return held_W


def phases(census: Iterable[LanguageEntry], ranks: Ranks) -> Iterator[Phase]:
    """The phases of a run from its first round to its last."""
    entries = {entry.language: entry for entry in census}
    queue = order_of_admission(Candidate(entry.work, entry.work_seconds()) for entry in entries.values())
    roster = Roster(ranks, present=[], queue=queue, ended=0)
    left: dict[str, int] = {}
    done = 0
    while True:
        left |= {language: entries[language].steps for language in roster.fill(done)}
        if not left:
            return
        roster.place()
        rounds = min(left.values())
        works = {language: candidate.work for language, candidate in roster.active.items()}
        yield Phase(done + 1, rounds, works, roster.placement, roster.waiting)
        done += rounds
        left = {language: steps - rounds for language, steps in left.items() if steps > rounds}
        roster.release([language for language in roster.in_order() if language not in left])


def least_seconds(census: Sequence[LanguageEntry], world: int) -> float:
    """Audio that the busiest rank has to go through at the least, whatever the schedule.

    All work spread evenly, or the one language that takes longest even if it is split as far as it can be.
    """
    total = math.fsum(entry.work_seconds() for entry in census)
    longest = max(entry.work_seconds() / min(world, entry.work.most_owners) for entry in census)
    return max(total / world, longest)
