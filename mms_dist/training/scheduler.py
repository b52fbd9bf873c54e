"""Who trains now, on which ranks, and who is next: the same on every rank, computed by each."""

from collections.abc import Iterable
from dataclasses import dataclass

from mms_dist.distributed.placement import RankGroup, Work, capacity, place
from mms_dist.training.progress import ACTIVE, Progress


@dataclass(frozen=True)
class QueuedLanguage:
    """A language that waits, or trains."""

    work: Work
    """What a round of it costs, and among how many ranks it can be split."""
    seconds_left: float = 0.0
    """Audio it has yet to train on: the queue is served longest first, so that no long language is left for last."""
    restored: Progress | None = None
    """Its state from an earlier start of this run, if it had one."""
    unchanged: bool = True
    """Its batches are still those that `restored` was trained on."""

    @property
    def language(self) -> str:
        return self.work.language

    def is_replaying(self, round_number: int) -> bool:
        """Whether it took part in the rounds after this one before the restart (see `training.resume`)."""
        restored = self.restored
        if restored is None or not self.unchanged:
            return False
        return restored.admitted_round <= round_number <= restored.round

    def has_ended(self, round_number: int) -> bool:
        """Whether there is nothing left to do for it, not even to keep others company."""
        restored = self.restored
        if restored is None or restored.status == ACTIVE:
            return False
        return round_number >= restored.round or not self.is_replaying(round_number)


@dataclass(frozen=True)
class Ranks:
    """Over what the languages are spread."""

    world: int = 1
    slots: int = 1
    """Languages a rank can hold."""
    replicate: bool = False
    """Every rank owns every language."""

    @property
    def capacity(self) -> int:
        """Languages that are active at once."""
        return capacity(world=self.world, slots=self.slots, replicate=self.replicate)

    def place(self, active: Iterable[QueuedLanguage]) -> dict[str, RankGroup]:
        return place((queued.work for queued in active), world=self.world, slots=self.slots, replicate=self.replicate)


class LanguageScheduler:
    """Active languages with their owners, and the queue behind them."""

    def __init__(
        self, ranks: Ranks, *, present: Iterable[QueuedLanguage], queue: Iterable[QueuedLanguage], ended: int
    ) -> None:
        self._ranks = ranks
        self._present = list(present)
        self._queue = list(queue)
        self.active: dict[str, QueuedLanguage] = {}
        self.placement: dict[str, RankGroup] = {}
        self.ended = ended
        """Languages that are done, quarantined ones included."""

    def in_order(self) -> list[str]:
        """Active languages by code: the order of a round, whatever order they came in."""
        return sorted(self.active)

    @property
    def capacity(self) -> int:
        """Languages that may be active at once."""
        return self._ranks.capacity

    @property
    def waiting(self) -> int:
        return len(self._present) + len(self._queue)

    def release(self, languages: Iterable[str]) -> None:
        """These are done."""
        for language in languages:
            restored = self.active.pop(language).restored
            # One that had ended before the restart and only kept company is counted already.
            self.ended += restored is None or restored.status == ACTIVE

    def fill(self, round_number: int) -> list[str]:
        """Let the next languages in after round `round_number`, as far as there is room; return those that came."""
        came = []
        while len(self.active) < self._ranks.capacity and (self._present or self._queue):
            queued = (self._present or self._queue).pop(0)
            if not queued.has_ended(round_number):
                self.active[queued.language] = queued
                came.append(queued.language)
        return came

    def place(self) -> None:
        """Give every active language its owners."""
        self.placement = self._ranks.place(self.active.values())


def order_of_admission(queued_languages: Iterable[QueuedLanguage]) -> list[QueuedLanguage]:
    """Longest remaining work first, the code deciding between equals."""
    return sorted(queued_languages, key=lambda queued: (-queued.seconds_left, queued.language))
