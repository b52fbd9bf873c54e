"""Heartbeats of ranks, and how another rank decides from them which rank hangs.

Pure functions of counters: the clock, the store and the threads are in `watchdog.py`. Only the observer's clock
counts, so hosts need no synchronised clocks.
"""

import gc
import json
import os
import socket
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import NamedTuple

WORKING, WAITING, LEFT = "working", "waiting", "left"
FRAMES_SHOWN = 40
REPORTS_SHOWN = 8


class Heartbeat(NamedTuple):
    """A sign of life.

    `number` counts heartbeats; it stops if the process is stopped. `ticks` counts the main thread's signs of life; it
    stops if the main thread hangs. `state` is the main thread's state: WORKING, WAITING for other ranks, or LEFT.
    """

    number: int
    ticks: int
    state: str

    def encode(self) -> str:
        return f"{self.number} {self.ticks} {self.state}"

    @classmethod
    def decode(cls, raw: bytes) -> "Heartbeat":
        number, ticks, state = raw.decode().split(" ")
        return cls(int(number), int(ticks), state)


@dataclass(frozen=True)
class RankTrace:
    """Where a rank's main thread was when it last reported."""

    doing: str
    waiting_for: str | None
    stack: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, raw: bytes) -> "RankTrace":
        return cls(**json.loads(raw))


def stack_of(frame: FrameType | None) -> str:
    """Format a thread's stack, innermost frame last, like a traceback without source lines.

    Source lines would be read from files, and the thread may hang on a dead file system.
    """
    lines: list[str] = []
    while frame is not None and len(lines) < FRAMES_SHOWN:
        code = frame.f_code
        lines.append(f'File "{code.co_filename}", line {frame.f_lineno}, in {code.co_qualname}')
        frame = frame.f_back
    return "\n".join(reversed(lines))


def stack_of_thread(thread: int) -> str:
    """Format the stack of a running thread, given its identifier; empty if the thread does not exist.

    Garbage collection is off meanwhile. CPython 3.11 may start a collection while it creates a frame object. Freeing a
    tensor or a process group's work may then let the other thread run, its frame disappears, and reading the frame
    object crashes the process with a segmentation fault. Later versions only collect between two instructions.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return stack_of(sys._current_frames().get(thread))
    finally:
        if collects:
            gc.enable()


@dataclass
class _Seen:
    """A rank's last heartbeat, and when its counters last changed."""

    heartbeat: Heartbeat | None
    number_since: float
    ticks_since: float


class HeartbeatMonitor:
    """The heartbeats of all ranks, as one observer saw them while it waited."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def record(self, heartbeats: Mapping[int, Heartbeat | None], now: float) -> None:
        """Record every rank's heartbeat, None for a rank that has sent none yet; `now` is in seconds."""
        for rank, heartbeat in heartbeats.items():
            seen = self._seen.get(rank)
            if seen is None or seen.heartbeat is None or heartbeat is None:
                first = now if seen is None or heartbeat is not None else seen.number_since
                self._seen[rank] = _Seen(heartbeat, first, first)
                continue
            if heartbeat.number != seen.heartbeat.number:
                seen.number_since = now
            if heartbeat.ticks != seen.heartbeat.ticks:
                seen.ticks_since = now
            seen.heartbeat = heartbeat

    def hung_ranks(self, now: float, still_seconds: float) -> dict[int, str]:
        """The ranks that block the others, each with its symptom.

        Ranks that wait for others, and slow ranks that make progress, are not among them.
        """
        found = {rank: _fault(seen, now, still_seconds) for rank, seen in sorted(self._seen.items())}
        return {rank: fault for rank, fault in found.items() if fault}

    def is_deadlock(self, now: float, still_seconds: float) -> bool:
        """Whether every rank waits for others, and none has made progress for `still_seconds`."""
        return all(
            seen.heartbeat is not None and seen.heartbeat.state == WAITING and now - seen.ticks_since >= still_seconds
            for seen in self._seen.values()
        )


def _fault(seen: _Seen, now: float, still_seconds: float) -> str | None:
    dead, stuck = now - seen.number_since, now - seen.ticks_since
    if seen.heartbeat is None:
        return f"has not joined the run for {dead:.3g} s" if dead >= still_seconds else None
    if seen.heartbeat.state == LEFT:
        return f"left the run {stuck:.3g} s ago or earlier" if stuck >= still_seconds else None
    is_stuck = seen.heartbeat.state == WORKING and stuck >= still_seconds
    if dead >= still_seconds or (is_stuck and dead >= still_seconds / 4):
        return f"no sign of life for {dead:.3g} s: the process or its host is stopped or gone"
    return f"the process is alive, but has made no progress for {stuck:.3g} s" if is_stuck else None


@dataclass(frozen=True)
class HangReport:
    """What is known of a hang: a summary in one line, and further lines. As text, the summary comes first."""

    summary: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((self.summary, *self.details))


def hang_report(hung: Mapping[int, str], traces: Mapping[int, RankTrace]) -> HangReport:
    """Report which ranks hang, where, and with which stack."""
    some = list(hung)[:REPORTS_SHOWN]
    place = traces.get(some[0])
    known = f" at {place.doing!r} (rank {some[0]}, host {place.host}, process {place.pid})" if place else ""
    details = [_paragraph(f"rank {rank}", hung[rank], traces.get(rank)) for rank in some]
    if len(hung) > len(some):
        details.append(f"and {len(hung) - len(some)} more, not shown in detail")
    return HangReport(f"{name_ranks(hung)} {'hangs' if len(hung) == 1 else 'hang'}{known}", tuple(details))


def deadlock_report(traces: Mapping[int, RankTrace]) -> HangReport:
    """Report what each rank waits for if all of them wait. Ranks that wait for the same thing share a paragraph, with
    the stack of the first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for rank, place in sorted(traces.items()):
        groups[place.waiting_for or place.doing].append(rank)
    details = [_paragraph(name_ranks(ranks), f"waiting for {what}", traces[ranks[0]]) for what, ranks in groups.items()]
    summary = "all ranks wait for each other: their collective calls do not match, or the network failed"
    return HangReport(summary, tuple(details))


def _paragraph(who: str, fault: str, place: RankTrace | None) -> str:
    if place is None:
        return f"  {who}: {fault}"
    doing = place.doing if place.waiting_for is None else f"{place.doing}, waiting for {place.waiting_for}"
    stack = "".join(f"\n      {line}" for line in place.stack.splitlines())
    return (
        f"  {who} (host {place.host}, process {place.pid}): {fault}\n"
        f"    last known at: {doing}\n    last known stack, innermost last:{stack}"
    )


def name_ranks(ranks: Iterable[int]) -> str:
    """`rank 3`, or `ranks 0-3, 7`."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    return ("rank " if _is_one(runs) else "ranks ") + ", ".join(
        str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs
    )


def _is_one(runs: Sequence[Sequence[int]]) -> bool:
    return len(runs) == 1 and len(runs[0]) == 1
