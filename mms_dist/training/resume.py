"""Where a run goes on after a restart, so that it equals the run that was never stopped.

Languages are saved one by one, so after a kill their newest checkpoints may be of different rounds. Each resumes from
its own; none is set back. But the arithmetic of a forward pass depends, in its last bits, on the shapes of the
matrices, and those on who else was in the round. So the run starts again at the oldest of the rounds, and a language
that is already further keeps the others company until they have caught up: its batches of those rounds are
computed with, as they were, and nothing of it changes. (That its *values* have moved on since does not matter: no
language's numbers enter another's, DESIGN I2.)

Legend: a round is numbered from 1; a checkpoint "of round r" holds the state after round r.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mms_dist.training.progress import ACTIVE, Progress


@dataclass(frozen=True)
class Restart:
    """`round` is the last round that counts as done; `present` take part in the next one; `later` had not been
    admitted yet at that point and wait at the head of the queue, in the order of their first admission."""

    round: int
    present: list[Progress]
    later: list[Progress]


def plan_restart(found: Iterable[Progress], *, furthest_back: int) -> Restart:
    """Choose the round to go on from.

    Args:
        found: the newest whole state of every language that has one.
        furthest_back: a language whose checkpoint is more rounds older than the newest one (its newer ones were
            damaged) is not waited for: it goes on by itself from where it is, and only its company differs. A kill
            alone sets none back further than two intervals of saving: one that has begun, and the one before, whose
            checkpoint may have been on its way (`CheckpointStore.save_later` lets no second one wait).
    """
    states = sorted(found, key=lambda progress: (progress.admitted_round, progress.language))
    open_rounds = [progress.round for progress in states if progress.status == ACTIVE]
    newest = max((progress.round for progress in states), default=0)
    restart = min((r for r in open_rounds if r >= newest - furthest_back), default=newest)
    for progress in states:
        if progress.status == ACTIVE and progress.round < restart:
            progress.admitted_round += restart - progress.round  # its clock starts later; nothing else of it changes
            progress.round = restart
    present = [p for p in states if p.admitted_round <= restart and (p.status == ACTIVE or p.round > restart)]
    later = [p for p in states if p.admitted_round > restart]
    return Restart(restart, present, later)
