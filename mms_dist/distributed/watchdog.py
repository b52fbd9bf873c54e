"""Find the rank that hangs, report where, and end the run so that the launcher can restart it.

When a process dies, its peers notice immediately. A process that is stopped, deadlocked, or stuck in a dead file system
keeps its connections open, and all others would wait for it forever, in calls that cannot be interrupted.

So every rank sends heartbeats from a thread of its own (`heartbeats.py`): how many it has sent, how many signs of life
its main thread has given, and whether that thread waits for other ranks. A rank that has waited for a while checks all
heartbeats. A slow rank is fine: only a rank without any progress counts as hung. A hang is found within
`timeout_seconds`; the steps, as fractions of it:

    1/20  between two heartbeats, at most 5 s
    1/16  of waiting before a rank first checks the others; then it checks every 1/25
    3/4   without a change: a rank counts as hung
    7/8   without an answer from the store: a rank exits

Only the observer's own clock counts, without the time in which the observer itself was stopped. So if a whole job is
suspended and resumed, no rank counts as hung.

Load on the store, with 512 ranks and 600 s: every rank sets one or two keys (40 bytes, and a stack of up to 6 kB if it
changed) and reads one key every 5 s. That is 300 small requests and at most 0.6 MB per second, however long a round is.
A rank reads no other heartbeats until it has waited for 38 s; then each waiting rank reads 512 keys in one request
every 24 s, which is 21 requests and 0.5 MB per second if all but one wait. Stacks are read once, by the rank that
reports. (Measured with a TCPStore and its client on two busy cores: 12,700 heartbeats or 360 such checks per second.)
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Self

from mms_dist.distributed.heartbeats import (
    LEFT,
    REPORTS_SHOWN,
    WAITING,
    WORKING,
    HangReport,
    Heartbeat,
    HeartbeatMonitor,
    RankTrace,
    deadlock_report,
    hang_report,
    name_ranks,
    stack_of_thread,
)
from mms_dist.distributed.key_value_store import Store
from mms_dist.distributed.main_thread import Activity, MainThread
from mms_dist.errors import ExitCode, MmsDistError
from shards.errors import first_line

HEARTBEAT, LONGEST_HEARTBEAT_SECONDS = 1 / 20, 5.0
FIRST_CHECK, NEXT_CHECK = 1 / 16, 1 / 25
HUNG_AFTER, STORE_LOST_AFTER = 3 / 4, 7 / 8
LONGEST_GAP = 1 / 8
"""If a rank's clock thread does not run for longer than this, the rank was stopped, and only this much time counts."""
REPORT_TIMEOUT_SECONDS = 10.0
"""Time limit for printing and `on_hang`, which may hang on the same file system as the hung rank."""
GOODBYE_TIMEOUT_SECONDS = 2.0
"""Time limit at the end of the `with` block: a heartbeat takes milliseconds, and a stopped store must not block."""

_CLAIM, _VERDICT = "verdict", "verdict/text"


_STORE_ERRORS = (RuntimeError, OSError, MmsDistError)
"""Errors that a store raises when its server is gone. torch's DistError is a RuntimeError."""


class NoWatchdog(MainThread):
    """The watchdog of a single process, which no other rank can watch."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Watchdog(MainThread):
    """One rank's watchdog, active inside its `with` block; the thread that enters the block is the main thread.

    with Watchdog(store, rank=0, world=4, timeout_seconds=600, on_hang=tell) as watchdog:
        watchdog.mark("forward 3 of 7, round 12")
        with watchdog.waiting("the round's edge 12"):
            all_reduce(…)
    """

    def __init__(
        self,
        store: Store,
        *,
        rank: int,
        world: int,
        timeout_seconds: float,
        on_hang: Callable[[HangReport], None],
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """
        Args:
            store: a store for this attempt only; a restart begins with no keys.
            timeout_seconds: time limit for finding a hung rank, counted from when another rank starts to wait for it.
            on_hang: called with the report on the rank that writes it, and on rank 0 if the store is gone; it runs in
                its own thread, for at most ten seconds.
            leave: ends the process with this exit code, without notifying the main thread.
        """
        self.rank, self.world, self.timeout_seconds = rank, world, timeout_seconds
        self._store, self._on_hang, self._leave = store, on_hang, leave
        self._heartbeat_seconds = min(LONGEST_HEARTBEAT_SECONDS, HEARTBEAT * timeout_seconds)
        super().__init__()
        self._main_thread = 0
        self._now = 0.0  # seconds this process has been running, without the time it was stopped
        self._answered, self._problem = 0.0, "it does not answer"
        self._monitor, self._checked, self._wait_ticks = HeartbeatMonitor(), 0.0, -1
        self._arrived: set[int] = set()
        self._sent, self._last_trace = 0, ""
        self._stopped, self._leaving = threading.Event(), threading.Lock()
        self._threads = [
            # Two threads, because a call to a stopped store never returns.
            threading.Thread(target=self._keep_time, name="watchdog-clock", daemon=True),
            threading.Thread(target=self._send_heartbeats, name="watchdog-beats", daemon=True),
        ]

    def seconds(self) -> float:
        """Seconds this process has been running, without the time it was stopped."""
        return self._now

    def __enter__(self) -> Self:
        self._main_thread = threading.get_ident()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the others that this rank has left, if the store still answers."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=GOODBYE_TIMEOUT_SECONDS)

    # -- the clock ----------------------------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        """Count running time, and exit if the store has not answered for too long."""
        before = monotonic()
        while not self._stopped.wait(self._heartbeat_seconds):
            now = monotonic()
            self._now += min(now - before, LONGEST_GAP * self.timeout_seconds)
            before = now
            silent = self._now - self._answered
            if silent >= STORE_LOST_AFTER * self.timeout_seconds:
                report = HangReport(
                    f"rank {self.rank} exits: the store for heartbeats has not answered for {silent:.3g} s "
                    f"({self._problem}), so the process that serves it (the launcher's agent or rank 0) is stopped or "
                    "gone; start the run again: it continues from the last checkpoints"
                )
                self._end(report, tell=self.rank == 0)

    # -- the heartbeats -----------------------------------------------------------------------------------------------

    def _send_heartbeats(self) -> None:
        """Send heartbeats, and check the others while waiting. If the store fails, retry until the clock ends it."""
        while True:
            try:
                self._send_heartbeat(self.now)
                self._check_others(self.now)
            except _STORE_ERRORS as error:
                self._problem = first_line(error)
            if self._stopped.wait(self._heartbeat_seconds):
                break
        with contextlib.suppress(*_STORE_ERRORS):  # the store may be gone when the last rank leaves
            ticks = self.now.ticks + 1
            self._store.set(_heartbeat_key(self.rank), Heartbeat(self._sent + 1, ticks, LEFT).encode())

    def _send_heartbeat(self, doing: Activity) -> None:
        stack = stack_of_thread(self._main_thread)
        trace = RankTrace(doing.doing, doing.waiting_for, stack).encode()
        if trace != self._last_trace:  # before the heartbeat, so that every rank with a heartbeat has a trace
            self._store.set(_stack_key(self.rank), trace)
            self._last_trace = trace
        self._sent += 1
        state = WORKING if doing.waiting_for is None else WAITING
        self._store.set(_heartbeat_key(self.rank), Heartbeat(self._sent, doing.ticks, state).encode())
        verdict = self._store.check([_VERDICT])  # the answer also proves that the store received the heartbeat
        self._answered = self._now
        if verdict:
            self._end(self._exit_message(self._store.multi_get([_VERDICT])[0].decode()))

    def _check_others(self, doing: Activity) -> None:
        """Check all ranks if this one has waited for long, using only what was seen during this wait."""
        if doing.waiting_for is None or self._now - doing.waiting_since < FIRST_CHECK * self.timeout_seconds:
            return
        if doing.ticks != self._wait_ticks:
            self._monitor, self._wait_ticks, self._checked = HeartbeatMonitor(), doing.ticks, -self.timeout_seconds
        if self._now - self._checked < NEXT_CHECK * self.timeout_seconds:
            return
        self._checked = self._now
        self._monitor.record(self.read_heartbeats(), self._now)
        still = HUNG_AFTER * self.timeout_seconds
        if hung := self._monitor.hung_ranks(self._now, still):
            self._report(doing, hang_report(hung, self._traces(hung)))
        elif self._monitor.is_deadlock(self._now, still):
            self._report(doing, deadlock_report(self._traces(range(self.world))))

    def behind(self) -> str:
        """The ranks that the others wait for, and what they are doing, if known. May be called from any thread."""
        heartbeats = self.read_heartbeats()
        late = [
            rank
            for rank, heartbeat in heartbeats.items()
            if rank != self.rank and (heartbeat is None or heartbeat.state != WAITING)
        ]
        traces = self._traces(late[:REPORTS_SHOWN])
        known = [f"rank {rank} ({trace.doing}, on {trace.host})" for rank, trace in traces.items()]
        rest = [rank for rank in late if rank not in traces]
        return ", ".join([*known, *([name_ranks(rest)] if rest else [])]) or "the other ranks"

    def read_heartbeats(self) -> dict[int, Heartbeat | None]:
        heartbeats: dict[int, Heartbeat | None] = dict.fromkeys(range(self.world))
        if len(self._arrived) < self.world:
            self._arrived.update(self._with_heartbeats([*(set(range(self.world)) - self._arrived)]))
        here = sorted(self._arrived)
        raw = self._store.multi_get([_heartbeat_key(rank) for rank in here])
        return heartbeats | {rank: Heartbeat.decode(heartbeat) for rank, heartbeat in zip(here, raw, strict=True)}

    def _with_heartbeats(self, ranks: list[int]) -> list[int]:
        """The ranks that have sent a heartbeat, found by bisection, because usually nearly all or nearly none have."""
        if self._store.check([_heartbeat_key(rank) for rank in ranks]):
            return ranks
        if len(ranks) == 1:
            return []
        half = len(ranks) // 2
        return self._with_heartbeats(ranks[:half]) + self._with_heartbeats(ranks[half:])

    def _traces(self, ranks: Iterable[int]) -> dict[int, RankTrace]:
        known = [rank for rank in ranks if rank in self._arrived]
        raw = self._store.multi_get([_stack_key(rank) for rank in known]) if known else []
        return {rank: RankTrace.decode(trace) for rank, trace in zip(known, raw, strict=True)}

    # -- the end ------------------------------------------------------------------------------------------------------

    def _report(self, doing: Activity, report: HangReport) -> None:
        """Report the hang if this rank is the first to find it; otherwise exit after the rank that reports it."""
        if self._store.add(_CLAIM, 1) > 1:
            self._await_verdict()
            self._end(self._exit_message(report.summary))
            return
        found_by = (
            f"  found by rank {self.rank}, which has waited for {doing.waiting_for} for "
            f"{self._now - doing.waiting_since:.3g} s (comm.timeout_seconds: {self.timeout_seconds:g})"
        )
        advice = "  all ranks exit now; start the run again: it continues from the last checkpoints"
        whole = HangReport(f"watchdog: {report.summary}", (*report.details, found_by, advice))
        self._end(whole, verdict=report.summary, tell=True)

    def _await_verdict(self) -> None:
        """Wait for the reporting rank: if the others exit first, it fails before it has written its report."""
        waited = 0.0
        while waited < REPORT_TIMEOUT_SECONDS and not self._store.check([_VERDICT]) and not self._stopped.is_set():
            self._stopped.wait(self._heartbeat_seconds)
            waited += self._heartbeat_seconds

    def _exit_message(self, summary: str) -> HangReport:
        return HangReport(f"watchdog: rank {self.rank} exits: {summary}")

    def _end(self, report: HangReport, *, verdict: str | None = None, tell: bool = False) -> None:
        """Print the report, tell the other ranks to exit (`verdict`), and exit, even if the main thread is stuck.

        Args:
            tell: also call `on_hang`.
        """
        if not self._leaving.acquire(blocking=False):
            return
        printer = threading.Thread(target=self._print, args=(report, tell), name="watchdog-report", daemon=True)
        printer.start()
        printer.join(timeout=REPORT_TIMEOUT_SECONDS)
        if verdict is not None:
            with contextlib.suppress(*_STORE_ERRORS):  # the others will find out themselves
                self._store.set(_VERDICT, verdict)
        self._stopped.set()
        self._leave(ExitCode.FAILED)

    def _print(self, report: HangReport, tell: bool) -> None:
        with contextlib.suppress(OSError):  # the output may be closed
            sys.stdout.flush()
            print(report, file=sys.stderr, flush=True)
        if tell:
            try:
                self._on_hang(report)
            except Exception:  # an error here must not keep the process from exiting
                traceback.print_exc()


def _heartbeat_key(rank: int) -> str:
    return f"beat/{rank}"


def _stack_key(rank: int) -> str:
    return f"stack/{rank}"
