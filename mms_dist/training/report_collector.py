"""What happens on any rank, told to the one monitor, on rank 0.

Every rank notes what its languages do; now and then, at a round's edge that all agree on, rank 0 collects the notes.
A single process tells its monitor at once.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from mms_dist.data.utterance_id import UtteranceId
from mms_dist.distributed.comm import Comm
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.report import EvaluationReport, RoundReport

DAMAGED = "damaged_sample"
EVERY_SECONDS = 1.0
"""Between two collections: as often as someone who watches wants to see something move."""


@dataclass(frozen=True)
class Event:
    """Something of `monitor.events.KINDS`."""

    kind: str
    fields: dict[str, Any]


@dataclass
class RankReports:
    """What one rank has to tell, in its order."""

    happened: list[Event | EvaluationReport] = field(default_factory=list)
    rounds: list[RoundReport] = field(default_factory=list)


class ReportCollector:
    """The monitor as the parts of training on any rank see it."""

    def __init__(self, comm: Comm, monitor: Monitor | None) -> None:
        assert comm.is_first == (monitor is not None), "there is one monitor, on rank 0"
        self._comm = comm
        self._monitor = monitor
        self._happened: deque[Event | EvaluationReport] = deque()  # checkpoints are told of from a thread
        self._rounds: list[RoundReport] = []
        self._damaged: set[UtteranceId] = set()
        self._delivered = monotonic()

    def event(self, kind: str, **fields: Any) -> None:
        """Something of `monitor.events.KINDS` happened. May be called from any thread."""
        if self._monitor is not None:
            self._monitor.event(kind, **fields)
        else:
            self._happened.append(Event(kind, fields))

    def damaged(self, *, language: str, split: str, row: int, **fields: Any) -> None:
        """An utterance was left out: told once, however many epochs, owners and changes of owners come by it."""
        utterance = UtteranceId(language, split, row)
        if utterance not in self._damaged:
            self._damaged.add(utterance)
            self.event(DAMAGED, language=language, split=split, row=row, **fields)

    def evaluated(self, report: EvaluationReport) -> None:
        """A language was scored on its dev split."""
        if self._monitor is not None:
            self._monitor.evaluated(report)
        else:
            self._happened.append(report)

    def round(self, report: RoundReport) -> None:
        """A round is over on this rank."""
        if self._monitor is not None and self._comm.world == 1:
            self._monitor.round(report)
        else:
            self._rounds.append(report)

    @property
    def is_due(self) -> bool:
        """Rank 0 says when it is time to collect again."""
        return self._comm.world > 1 and self._comm.is_first and monotonic() - self._delivered >= EVERY_SECONDS

    def deliver(self) -> None:
        """Bring all notes to the monitor; every rank calls this at the same round's edge."""
        if self._comm.world == 1:
            return
        happened = [self._happened.popleft() for _ in range(len(self._happened))]
        everyones = self._comm.collect(RankReports(happened, self._rounds))
        self._rounds, self._delivered = [], monotonic()
        if self._monitor is None or everyones is None:
            return
        told = in_order(notes.happened for notes in everyones)
        for report in merged(notes.rounds for notes in everyones):
            while told and told[0][0] < report.round:
                self._tell(self._monitor, told.popleft()[1])
            self._monitor.round(report)
        for _, note in told:
            self._tell(self._monitor, note)

    def _tell(self, monitor: Monitor, note: Event | EvaluationReport) -> None:
        if isinstance(note, EvaluationReport):
            monitor.evaluated(note)
        elif note.kind == DAMAGED:
            self.damaged(**note.fields)
        else:
            monitor.event(note.kind, **note.fields)


def in_order(ranks: Iterable[Iterable[Event | EvaluationReport]]) -> deque[tuple[int, Event | EvaluationReport]]:
    """What happened on all ranks, each with the round after which it did; what tells of no round goes with what its
    rank has told before it."""
    dated = []
    for happened in ranks:
        number = 0
        for note in happened:
            said = note.round if isinstance(note, EvaluationReport) else note.fields.get("round")
            number = number if said is None else said
            dated.append((number, note))
    return deque(sorted(dated, key=lambda each: each[0]))


def merged(reports: Iterable[Iterable[RoundReport]]) -> list[RoundReport]:
    """The run's rounds from those of its ranks: audio adds up; time and memory are those of the rank with the most."""
    by_round: dict[int, list[RoundReport]] = {}
    for rank in reports:
        for report in rank:
            by_round.setdefault(report.round, []).append(report)
    return [_merge(by_round[number]) for number in sorted(by_round)]


def _merge(ranks: list[RoundReport]) -> RoundReport:
    return replace(
        ranks[0],
        languages=sorted((each for rank in ranks for each in rank.languages), key=lambda each: each.language),
        seconds=max(rank.seconds for rank in ranks),
        audio_seconds=sum(rank.audio_seconds for rank in ranks),
        padded_seconds=sum(rank.padded_seconds for rank in ranks),
        data_wait_seconds=max(rank.data_wait_seconds for rank in ranks),
        save_seconds=max(rank.save_seconds for rank in ranks),
        evaluation_fraction=max(rank.evaluation_fraction for rank in ranks),
        save_all_seconds=max(rank.save_all_seconds for rank in ranks),
        memory_bytes=max(rank.memory_bytes for rank in ranks),
    )
