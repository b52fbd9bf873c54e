"""Collect the reports of all ranks for the single monitor on rank 0.

Every rank queues reports about its languages. About once a second, between two rounds, rank 0 collects them. A single
process passes its reports to the monitor immediately.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from mms_dist.data.utterance_id import UtteranceId
from mms_dist.distributed.comm import Comm
from mms_dist.monitor.monitor import Monitor
from mms_dist.monitor.reports import EvaluationReport, RoundReport
from mms_dist.training.observer import Observer

DAMAGED = "damaged_sample"
EVERY_SECONDS = 1.0
"""Time between two collections; short enough for a live display."""


@dataclass(frozen=True)
class Event:
    """An event of `monitor.events.KINDS`."""

    kind: str
    fields: dict[str, Any]


class Notices:
    """A queue of events without a round. Any thread may add one; they are reported between two rounds."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()

    def add(self, kind: str, reason: str) -> None:
        """Add a problem that the user should know about but that does not stop training."""
        self._waiting.append(Event(kind, {"reason": reason}))

    def take(self) -> list[Event]:
        """Remove and return all waiting events, oldest first."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


@dataclass
class RankReports:
    """The queued reports of one rank, oldest first."""

    happened: list[Event | EvaluationReport] = field(default_factory=list)
    rounds: list[RoundReport] = field(default_factory=list)


class ReportCollector(Observer):
    """Forwards the observers' calls on every rank to the monitor."""

    def __init__(self, comm: Comm, monitor: Monitor | None) -> None:
        assert comm.is_first == (monitor is not None), "there is one monitor, on rank 0"
        self._comm = comm
        self._monitor = monitor
        self._happened: deque[Event | EvaluationReport] = deque()  # the checkpoint thread appends too
        self._rounds: list[RoundReport] = []
        self._damaged: set[UtteranceId] = set()
        self._delivered = monotonic()

    def event(self, kind: str, **fields: Any) -> None:
        """Report an event; a skipped utterance only once, however many epochs and owners encounter it."""
        if kind == DAMAGED and self._is_known(fields):
            return
        if self._monitor is not None:
            self._monitor.event(kind, **fields)
        else:
            self._happened.append(Event(kind, fields))

    def evaluated(self, report: EvaluationReport) -> None:
        """Report the dev scores of a language."""
        if self._monitor is not None:
            self._monitor.evaluated(report)
        else:
            self._happened.append(report)

    def after_round(self, report: RoundReport) -> None:
        """Report a finished round of this rank."""
        if self._monitor is not None and self._comm.world == 1:
            self._monitor.round(report)
        else:
            self._rounds.append(report)

    @property
    def is_due(self) -> bool:
        """Whether it is time to collect again; only rank 0 decides this."""
        return self._comm.world > 1 and self._comm.is_first and monotonic() - self._delivered >= EVERY_SECONDS

    def deliver(self) -> None:
        """Send all queued reports to the monitor; every rank calls this after the same round."""
        if self._comm.world == 1:
            return
        happened = [self._happened.popleft() for _ in range(len(self._happened))]
        ranks = self._comm.collect(RankReports(happened, self._rounds))
        self._rounds, self._delivered = [], monotonic()
        if self._monitor is None or ranks is None:
            return
        pending = in_order(rank.happened for rank in ranks)
        for report in merged(rank.rounds for rank in ranks):
            while pending and pending[0][0] < report.round:
                self._pass_on(self._monitor, pending.popleft()[1])
            self._monitor.round(report)
        for _, item in pending:
            self._pass_on(self._monitor, item)

    def _pass_on(self, monitor: Monitor, item: Event | EvaluationReport) -> None:
        if isinstance(item, EvaluationReport):
            monitor.evaluated(item)
        else:
            self.event(item.kind, **item.fields)

    def _is_known(self, sample: Mapping[str, Any]) -> bool:
        """Return whether this utterance was reported before."""
        utterance = UtteranceId(sample["language"], sample["split"], sample["row"])
        known = utterance in self._damaged
        self._damaged.add(utterance)
        return known


def in_order(ranks: Iterable[Iterable[Event | EvaluationReport]]) -> deque[tuple[int, Event | EvaluationReport]]:
    """Merge the events and evaluations of all ranks, each with the round after which it happened.

    An item without a round gets the round of the item before it on its rank.
    """
    dated = []
    for happened in ranks:
        last_round = 0
        for item in happened:
            own_round = item.round if isinstance(item, EvaluationReport) else item.fields.get("round")
            last_round = last_round if own_round is None else own_round
            dated.append((last_round, item))
    return deque(sorted(dated, key=lambda each: each[0]))


def merged(reports: Iterable[Iterable[RoundReport]]) -> list[RoundReport]:
    """Merge the round reports of all ranks: audio is summed; time and memory are the maximum over ranks."""
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
