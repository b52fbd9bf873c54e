"""Decide which languages train now, on which ranks, and which come next. Every rank computes the same decisions."""

from collections.abc import Iterable
from dataclasses import dataclass

from mms_dist.data.language_summaries import LanguageSummary, Work
from mms_dist.distributed.placement import RankGroup, capacity, place
from mms_dist.training.progress import ACTIVE, Progress


@dataclass(frozen=True)
class QueuedLanguage:
    """A language that is waiting or active."""

    work: Work
    """The cost of one of its rounds, and the number of ranks it can be split over."""
    seconds_left: float = 0.0
    """Audio left to train on. The queue is longest first, so that no long language is left for last."""
    restored: Progress | None = None
    """State from an earlier start of this run, if any."""
    unchanged: bool = True
    """Whether its batches are still those that `restored` was trained on."""
    priority: int = 0
    """Languages of higher priority leave the queue first."""

    @classmethod
    def of(cls, entry: LanguageSummary, restored: Progress | None = None, unchanged: bool = True) -> "QueuedLanguage":
        """Return a language of a run with the work that it has left."""
        seconds_left = entry.work_seconds(0 if restored is None else restored.step)
        return cls(entry.work, seconds_left, restored, unchanged, entry.priority)

    @property
    def language(self) -> str:
        return self.work.language

    def is_replaying(self, round_number: int) -> bool:
        """Return whether the language trained in the rounds after this one before the restart (`training.restore`)."""
        restored = self.restored
        if restored is None or not self.unchanged:
            return False
        return restored.admitted_round <= round_number <= restored.round

    def has_ended(self, round_number: int) -> bool:
        """Return whether the language has ended and has no more rounds to replay."""
        restored = self.restored
        if restored is None or restored.status == ACTIVE:
            return False
        return round_number >= restored.round or not self.is_replaying(round_number)


@dataclass(frozen=True)
class Ranks:
    """The ranks that languages are placed on."""

    world: int = 1
    slots: int = 1
    """Languages a rank can hold."""
    replicate: bool = False
    """Every rank owns every language."""

    @property
    def capacity(self) -> int:
        """Number of languages that can be active at once."""
        return capacity(world=self.world, slots=self.slots, replicate=self.replicate)

    def place(self, active: Iterable[QueuedLanguage]) -> dict[str, RankGroup]:
        return place((queued.work for queued in active), world=self.world, slots=self.slots, replicate=self.replicate)


class LanguageScheduler:
    """Keeps the active languages, their owners and the queue of waiting languages."""

    def __init__(
        self, ranks: Ranks, *, present: Iterable[QueuedLanguage], queue: Iterable[QueuedLanguage], ended: int
    ) -> None:
        self._ranks = ranks
        self._present = list(present)
        self._queue = list(queue)
        self.active: dict[str, QueuedLanguage] = {}
        self.placement: dict[str, RankGroup] = {}
        self.ended = ended
        """Number of languages that have ended, including quarantined ones."""

    def in_order(self) -> list[str]:
        """Return the active languages sorted by code, which is their order in a round."""
        return sorted(self.active)

    @property
    def capacity(self) -> int:
        """Number of languages that can be active at once."""
        return self._ranks.capacity

    @property
    def waiting(self) -> int:
        return len(self._present) + len(self._queue)

    def release(self, languages: Iterable[str]) -> None:
        """Remove languages that have ended."""
        for language in languages:
            restored = self.active.pop(language).restored
            # A language that had ended before the restart and was only replaying is already counted.
            self.ended += restored is None or restored.status == ACTIVE

    def fill(self, round_number: int) -> list[str]:
        """Admit the next languages after round `round_number`, up to the capacity; return those admitted."""
        admitted = []
        while len(self.active) < self._ranks.capacity and (self._present or self._queue):
            queued = (self._present or self._queue).pop(0)
            if not queued.has_ended(round_number):
                self.active[queued.language] = queued
                admitted.append(queued.language)
        return admitted

    def place(self) -> None:
        """Assign owners to every active language."""
        self.placement = self._ranks.place(self.active.values())


def order_of_admission(queued_languages: Iterable[QueuedLanguage]) -> list[QueuedLanguage]:
    """Sort by priority, highest first, then by remaining work, longest first, then by code."""
    return sorted(queued_languages, key=lambda queued: (-queued.priority, -queued.seconds_left, queued.language))
