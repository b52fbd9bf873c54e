"""Who trains now, in which slot, and who is next."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mms_dist.training.progress import ACTIVE, Progress
from mms_dist.training.trainee import Trainee


@dataclass(frozen=True)
class Candidate:
    """A language that waits. `restored` is its state from an earlier start of this run, if it had one."""

    language: str
    work_seconds: float
    """Audio it has yet to train on: the queue is served longest first, so that no long language is left for last."""
    restored: Progress | None = None


Enter = Callable[[Candidate, int, int], Trainee | None]
"""Puts a candidate into a slot after a round; None if there is nothing left to do for it."""


class Roster:
    """Active languages in a fixed number of slots, and the queue behind them."""

    def __init__(self, *, slots: int, present: Iterable[Candidate], queue: Iterable[Candidate], enter: Enter) -> None:
        self._free = list(range(slots))
        self._present = list(present)
        self._queue = list(queue)
        self._enter = enter
        self.active: dict[str, Trainee] = {}

    def in_order(self) -> list[Trainee]:
        """Active languages by code: the order of a round, whatever order they came in."""
        return [self.active[language] for language in sorted(self.active)]

    @property
    def waiting(self) -> int:
        return len(self._present) + len(self._queue)

    def fill(self, round_number: int) -> list[Trainee]:
        """Give the free slots to the next languages, after round `round_number`; return those that came in."""
        came = []
        while self._free and (self._present or self._queue):
            candidate = (self._present or self._queue).pop(0)
            if _has_ended(candidate, round_number):
                continue
            trainee = self._enter(candidate, self._free[0], round_number)
            if trainee is not None:
                self._free.remove(trainee.slot)
                self.active[trainee.language] = trainee
                came.append(trainee)
        return came

    def release(self, trainee: Trainee) -> None:
        del self.active[trainee.language]
        self._free = sorted([*self._free, trainee.slot])


def order_of_admission(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Longest remaining work first, the code deciding between equals."""
    return sorted(candidates, key=lambda candidate: (-candidate.work_seconds, candidate.language))


def _has_ended(candidate: Candidate, round_number: int) -> bool:
    """Whether there is nothing left to do for it, not even to keep others company."""
    restored = candidate.restored
    return restored is not None and restored.status != ACTIVE and restored.round <= round_number
