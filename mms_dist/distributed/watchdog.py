"""Finds the rank that hangs, says where, and ends the run so that the launcher can start it again.

A process that dies is noticed by its peers at once. One that is stopped, deadlocked, or stuck in a dead file system
keeps its connections open, and all others would wait for it for ever, in calls that cannot be interrupted.

So every rank *beats* from a thread of its own (`beats.py`): how often it has beaten, how many signs of life its main
thread has given, and whether that waits for other ranks. Who has waited for long looks at all beats. Slowness is no
fault: only a rank of which nothing moves is blamed. All of it is over within `timeout_seconds`, in shares of which:

    1/20  between two beats, 5 s at most
    1/16  of waiting, after which a rank begins to look, and looks again every 1/25
    3/4   without a change make a rank hung
    7/8   without an answer of the store itself make a rank leave

The clock is the observer's own and counts no time in which it was stopped itself: a job that is suspended as a whole
and continued blames nobody.

What this costs the store, with 512 ranks and 600 s: every rank sets one or two keys of its own (40 bytes, and a stack
of up to 6 kB where it has changed) and asks for one every 5 s: 300 small requests a second and at most 0.6 MB/s,
whatever a round's length. Nobody reads another's beat until it has waited for 38 s; then it is one request of 512 keys
per waiting rank every 24 s: 21 requests and 0.5 MB a second if all but one wait. Stacks are read once, by the rank that
reports. (A TCPStore and its client on two busy cores: 12,700 beats or 360 such looks a second.)
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from mms_dist.distributed.heartbeats import (
    LEFT,
    REPORTS_SHOWN,
    WAITING,
    WORKING,
    Heartbeat,
    HeartbeatMonitor,
    RankTrace,
    hang_report,
    lock_report,
    name_ranks,
    stack_of_thread,
)
from mms_dist.distributed.main_thread import Doing, MainThread
from mms_dist.errors import ExitCode, MmsDistError

BEAT, LONGEST_BEAT_SECONDS = 1 / 20, 5.0
FIRST_LOOK, LOOK = 1 / 16, 1 / 25
STILL, SILENT = 3 / 4, 7 / 8
LONGEST_GAP = 1 / 8
"""A rank whose clock thread did not run for longer than this was stopped, and counts this much only."""
LAST_WORDS_SECONDS = 10.0
"""Printing and `on_hang` may hang on the file system that others hang on."""
PARTING_SECONDS = 2.0
"""At the end of the `with` block: a beat takes milliseconds, and a store that is stopped must not keep the rank."""

_CLAIM, _VERDICT = "verdict", "verdict/text"


class Store(Protocol):
    """A key-value store that all ranks reach; torch's TCPStore is one. Methods are called from several threads."""

    def set(self, key: str, value: str, /) -> None: ...
    def add(self, key: str, amount: int, /) -> int: ...
    def check(self, keys: list[str], /) -> bool: ...
    def multi_get(self, keys: list[str], /) -> list[bytes]: ...


_STORE_ERRORS = (RuntimeError, OSError, MmsDistError)
"""What a store raises when it is gone: torch's DistError is a RuntimeError."""


class NoWatchdog(MainThread):
    """Of a process that is alone: there is nobody to watch it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Watchdog(MainThread):
    """One rank's, at work inside its `with` block; the thread that enters it is the main thread.

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
        on_hang: Callable[[str], None],
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """
        Args:
            store: of this attempt only; a restart begins with no keys.
            timeout_seconds: within which a rank that hangs is found, from when another begins to wait for it.
            on_hang: called with the report on the rank that makes it, and on rank 0 if the store is gone; in a thread
                of its own, and for at most ten seconds.
            leave: ends the process with this exit code, without a word to the main thread.
        """
        self.rank, self.world, self.timeout_seconds = rank, world, timeout_seconds
        self._store, self._on_hang, self._leave = store, on_hang, leave
        self._beat_seconds = min(LONGEST_BEAT_SECONDS, BEAT * timeout_seconds)
        super().__init__()
        self._main_thread = 0
        self._now = 0.0  # seconds of this process's waking life
        self._answered, self._problem = 0.0, "it does not answer"
        self._sightings, self._looked, self._waits = HeartbeatMonitor(), 0.0, -1
        self._arrived: set[int] = set()
        self._beats, self._told = 0, ""
        self._stopped, self._leaving = threading.Event(), threading.Lock()
        self._threads = [
            # Two, since a store that is stopped never returns from a call.
            threading.Thread(target=self._keep_time, name="watchdog-clock", daemon=True),
            threading.Thread(target=self._beat_on, name="watchdog-beats", daemon=True),
        ]

    def seconds(self) -> float:
        """Of this process's waking life."""
        return self._now

    def __enter__(self) -> Self:
        self._main_thread = threading.get_ident()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the others that this rank has left, if the store still listens."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=PARTING_SECONDS)

    # -- the clock ----------------------------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        """Count waking time, and leave if the store has been silent for too long."""
        before = monotonic()
        while not self._stopped.wait(self._beat_seconds):
            now = monotonic()
            self._now += min(now - before, LONGEST_GAP * self.timeout_seconds)
            before = now
            silent = self._now - self._answered
            if silent >= SILENT * self.timeout_seconds:
                text = (
                    f"rank {self.rank} leaves: the store through which ranks watch each other is silent for "
                    f"{silent:.3g} s ({self._problem}); the process that keeps it, the launcher's agent or rank 0, is "
                    "stopped or gone. Start the run again: it goes on from the last checkpoints"
                )
                self._end(text, report=self.rank == 0)

    # -- the beats ----------------------------------------------------------------------------------------------------

    def _beat_on(self) -> None:
        """Beat, and look at the others while waiting. A store that fails is tried again until the clock ends it."""
        while True:
            try:
                self._beat(self.now)
                self._look(self.now)
            except _STORE_ERRORS as error:
                self._problem = str(error).strip().split("\n")[0] or type(error).__name__
            if self._stopped.wait(self._beat_seconds):
                break
        with contextlib.suppress(*_STORE_ERRORS):  # the last rank may find the store gone
            ticks = self.now.ticks + 1
            self._store.set(_beat_key(self.rank), Heartbeat(self._beats + 1, ticks, LEFT).encode())

    def _beat(self, doing: Doing) -> None:
        stack = stack_of_thread(self._main_thread)
        told = RankTrace(doing.doing, doing.waiting_for, stack).encode()
        if told != self._told:  # before the beat: whoever has beaten can be asked where it is
            self._store.set(_stack_key(self.rank), told)
            self._told = told
        self._beats += 1
        state = WORKING if doing.waiting_for is None else WAITING
        self._store.set(_beat_key(self.rank), Heartbeat(self._beats, doing.ticks, state).encode())
        verdict = self._store.check([_VERDICT])  # also the proof that the store has heard of the beat
        self._answered = self._now
        if verdict:
            self._end(self._following(self._store.multi_get([_VERDICT])[0].decode()))

    def _look(self, doing: Doing) -> None:
        """At all ranks, if this one has been waiting for long; judge them by what was seen during this wait alone."""
        if doing.waiting_for is None or self._now - doing.waiting_since < FIRST_LOOK * self.timeout_seconds:
            return
        if doing.ticks != self._waits:
            self._sightings, self._waits, self._looked = HeartbeatMonitor(), doing.ticks, -self.timeout_seconds
        if self._now - self._looked < LOOK * self.timeout_seconds:
            return
        self._looked = self._now
        self._sightings.look(self._all_beats(), self._now)
        still = STILL * self.timeout_seconds
        if hung := self._sightings.hung(self._now, still):
            self._judge(doing, hang_report(hung, self._whereabouts(hung)))
        elif self._sightings.locked(self._now, still):
            self._judge(doing, lock_report(self._whereabouts(range(self.world))))

    def behind(self) -> str:
        """The ranks that others wait for, and what they do, as far as it is known. Called from any thread."""
        heartbeats = self._all_beats()
        late = [
            rank
            for rank, heartbeat in heartbeats.items()
            if rank != self.rank and (heartbeat is None or heartbeat.state != WAITING)
        ]
        places = self._whereabouts(late[:REPORTS_SHOWN])
        told = [f"rank {rank} ({place.doing}, on {place.host})" for rank, place in places.items()]
        rest = [rank for rank in late if rank not in places]
        return ", ".join([*told, *([name_ranks(rest)] if rest else [])]) or "the other ranks"

    def _all_beats(self) -> dict[int, Heartbeat | None]:
        heartbeats: dict[int, Heartbeat | None] = dict.fromkeys(range(self.world))
        if len(self._arrived) < self.world:
            self._arrived.update(self._those_with_beats([*(set(range(self.world)) - self._arrived)]))
        here = sorted(self._arrived)
        raw = self._store.multi_get([_beat_key(rank) for rank in here])
        return heartbeats | {rank: Heartbeat.decode(heartbeat) for rank, heartbeat in zip(here, raw, strict=True)}

    def _those_with_beats(self, ranks: list[int]) -> list[int]:
        """Of the ranks, those that have beaten yet; by halves, as nearly all or nearly none have."""
        if self._store.check([_beat_key(rank) for rank in ranks]):
            return ranks
        if len(ranks) == 1:
            return []
        half = len(ranks) // 2
        return self._those_with_beats(ranks[:half]) + self._those_with_beats(ranks[half:])

    def _whereabouts(self, ranks: Iterable[int]) -> dict[int, RankTrace]:
        known = [rank for rank in ranks if rank in self._arrived]
        raw = self._store.multi_get([_stack_key(rank) for rank in known]) if known else []
        return {rank: RankTrace.decode(place) for rank, place in zip(known, raw, strict=True)}

    # -- the end ------------------------------------------------------------------------------------------------------

    def _judge(self, doing: Doing, report: str) -> None:
        """Report, if this rank is the first to see it; else leave after the one that was."""
        summary = report.split("\n")[0]
        if self._store.add(_CLAIM, 1) > 1:
            self._await_verdict()
            self._end(self._following(summary))
            return
        text = (
            f"watchdog: {report}\n"
            f"  seen by rank {self.rank}, which has been waiting for {doing.waiting_for} for "
            f"{self._now - doing.waiting_since:.3g} s (comm.timeout_seconds: {self.timeout_seconds:g})\n"
            "  all ranks leave now; started again, the run goes on from the last checkpoints"
        )
        self._end(text, verdict=summary, report=True)

    def _await_verdict(self) -> None:
        """If the others left first, their going would make the one that reports fail in the middle of its sentence."""
        waited = 0.0
        while waited < LAST_WORDS_SECONDS and not self._store.check([_VERDICT]) and not self._stopped.is_set():
            self._stopped.wait(self._beat_seconds)
            waited += self._beat_seconds

    def _following(self, summary: str) -> str:
        return f"watchdog: rank {self.rank} leaves: {summary}"

    def _end(self, text: str, *, verdict: str | None = None, report: bool = False) -> None:
        """Say it, let the others follow (`verdict`), and leave the process, whatever its main thread is stuck in."""
        if not self._leaving.acquire(blocking=False):
            return
        speaker = threading.Thread(target=self._say, args=(text, report), name="watchdog-last-words", daemon=True)
        speaker.start()
        speaker.join(timeout=LAST_WORDS_SECONDS)
        if verdict is not None:
            with contextlib.suppress(*_STORE_ERRORS):  # they will see for themselves
                self._store.set(_VERDICT, verdict)
        self._stopped.set()
        self._leave(ExitCode.FAILED)

    def _say(self, text: str, report: bool) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            sys.stdout.flush()
            print(text, file=sys.stderr, flush=True)
        if report:
            try:
                self._on_hang(text)
            except Exception:  # it must not keep the process from leaving
                traceback.print_exc()


def _beat_key(rank: int) -> str:
    return f"beat/{rank}"


def _stack_key(rank: int) -> str:
    return f"stack/{rank}"
