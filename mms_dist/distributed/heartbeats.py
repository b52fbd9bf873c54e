"""What a rank tells of itself, and what another concludes from it.

Pure functions of counters: no clock, no store and no thread in here (`watchdog.py` has those). Only the observer's own
time counts; hosts need not agree on theirs.
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

    `number` counts beats: it stands still if the process is stopped. `ticks` counts the main thread's signs of life: it
    stands still if that hangs. `state` is what the main thread does: WORKING, WAITING for other ranks, or it has LEFT.
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
    """Where a rank's main thread is, as it was last told."""

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
    """A thread's stack, the innermost frame last, as a traceback without the source lines.

    Those would be read from files, and a dead file system may be what the thread hangs on.
    """
    lines: list[str] = []
    while frame is not None and len(lines) < FRAMES_SHOWN:
        code = frame.f_code
        lines.append(f'File "{code.co_filename}", line {frame.f_lineno}, in {code.co_qualname}')
        frame = frame.f_back
    return "\n".join(reversed(lines))


def stack_of_thread(thread: int) -> str:
    """The stack of a thread that runs on meanwhile, by its identifier; empty if there is none.

    No garbage is collected meanwhile. CPython 3.11 may begin to in the middle of making the object of a frame, and
    what is collected may let that thread run on (a tensor, the work of a process group): the frame is gone when the
    object is done, and to read it ends the process with a segmentation fault. Later versions collect between two
    instructions.
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
    """A rank's last beat, and since when its counters have stood still."""

    heartbeat: Heartbeat | None
    number_since: float
    ticks_since: float


class HeartbeatMonitor:
    """What one observer saw of all ranks while it waited."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def look(self, heartbeats: Mapping[int, Heartbeat | None], now: float) -> None:
        """Take note of every rank's beat, None for a rank that has not beaten yet; `now` is in seconds."""
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

    def hung(self, now: float, still_seconds: float) -> dict[int, str]:
        """The ranks that hold the others up, and how that shows.

        Those that wait for others, and those that are slow but get on, are not among them.
        """
        found = {rank: _fault(seen, now, still_seconds) for rank, seen in sorted(self._seen.items())}
        return {rank: fault for rank, fault in found.items() if fault}

    def locked(self, now: float, still_seconds: float) -> bool:
        """Whether every rank waits for others, and none has got any further for so long."""
        return all(
            seen.heartbeat is not None and seen.heartbeat.state == WAITING and now - seen.ticks_since >= still_seconds
            for seen in self._seen.values()
        )


def _fault(seen: _Seen, now: float, still_seconds: float) -> str | None:
    dead, stuck = now - seen.number_since, now - seen.ticks_since
    if seen.heartbeat is None:
        return f"never arrived at the run, for {dead:.3g} s" if dead >= still_seconds else None
    if seen.heartbeat.state == LEFT:
        return f"left the run {stuck:.3g} s ago or earlier" if stuck >= still_seconds else None
    is_stuck = seen.heartbeat.state == WORKING and stuck >= still_seconds
    if dead >= still_seconds or (is_stuck and dead >= still_seconds / 4):
        return f"shows no sign of life for {dead:.3g} s: the process is stopped or gone, or its host is"
    return f"its process lives, but does not get on for {stuck:.3g} s" if is_stuck else None


def hang_report(hung: Mapping[int, str], traces: Mapping[int, RankTrace]) -> str:
    """Who hangs, where, and with which stack: the first line says it in short."""
    some = list(hung)[:REPORTS_SHOWN]
    place = traces.get(some[0])
    known = f" at {place.doing!r} (rank {some[0]}, host {place.host}, process {place.pid})" if place else ""
    parts = [f"{name_ranks(hung)} {'hangs' if len(hung) == 1 else 'hang'}{known}"]
    parts += [_paragraph(f"rank {rank}", hung[rank], traces.get(rank)) for rank in some]
    if len(hung) > len(some):
        parts.append(f"and {len(hung) - len(some)} more, of which only the ranks are given here")
    return "\n".join(parts)


def lock_report(traces: Mapping[int, RankTrace]) -> str:
    """Who waits for what if all wait; ranks that wait for the same share a paragraph, with the stack of the first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for rank, place in sorted(traces.items()):
        groups[place.waiting_for or place.doing].append(rank)
    parts = ["every rank waits for others and none gets on: their calls do not match, or the network broke"]
    for what, ranks in groups.items():
        parts.append(_paragraph(name_ranks(ranks), f"waiting for {what}", traces[ranks[0]]))
    return "\n".join(parts)


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
