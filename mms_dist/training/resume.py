"""Choose the round a run continues from after a restart, so that its result equals that of an uninterrupted run.

Languages are saved one by one, so after a kill their newest checkpoints may be of different rounds. Each language
resumes from its own checkpoint; none is rolled back. But the last bits of a forward pass depend on the shapes of its
matrices, and those depend on which languages are in the round. So the run restarts at the oldest of the rounds, and a
language that is already further replays until the others have caught up: its batches of those rounds are computed
again, but its state does not change. (Its weights have moved on since then. That does not matter, because no
language's values enter another's, DESIGN I2.)

Rounds are numbered from 1; a checkpoint of round r holds the state after round r.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mms_dist.training.progress import ACTIVE, Progress


@dataclass(frozen=True)
class Restart:
    """The round a run continues from, and its languages.

    Attributes:
        round: last round that counts as done.
        present: languages that take part in the next round.
        later: languages that had not been admitted at that point. They wait at the head of the queue, in the order of
            their first admission.
    """

    round: int
    present: list[Progress]
    later: list[Progress]


def plan_restart(found: Iterable[Progress], *, furthest_back: int) -> Restart:
    """Choose the round to continue from.

    Args:
        found: newest intact state of every language that has one.
        furthest_back: the run is not set back by more than this many rounds. A language whose checkpoint is older
            (its newer ones were damaged) continues at the chosen round, together with other languages than before. A
            kill alone loses at most two save intervals: the current one, and the one before it, whose checkpoint may
            not have been written yet (`CheckpointStore.save_later` queues at most one).
    """
    states = sorted(found, key=lambda progress: (progress.admitted_round, progress.language))
    open_rounds = [progress.round for progress in states if progress.status == ACTIVE]
    newest = max((progress.round for progress in states), default=0)
    restart = min((r for r in open_rounds if r >= newest - furthest_back), default=newest)
    for progress in states:
        if progress.status == ACTIVE and progress.round < restart:
            progress.admitted_round += restart - progress.round  # only the round numbers shift
            progress.round = restart
    present = [p for p in states if p.admitted_round <= restart and (p.status == ACTIVE or p.round > restart)]
    later = [p for p in states if p.admitted_round > restart]
    return Restart(restart, present, later)
