"""A signal sets a flag, which the round loop checks between rounds.

Before the first round there is nothing to finish or save, and the start may be waiting for something that never comes:
another rank, a download, a lock. There a stop is orderly only while the main thread makes progress. If it is waiting,
the process is ended.
Python runs signal handlers only between two of its own instructions, and a call into a library may never return. So
signals are also written into a pipe, which a thread reads.
"""

import contextlib
import itertools
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from launcher.console import STANDARD_ERROR, print_from_signal
from mms_dist.errors import ExitCode, StoppedEarly

STOPPING = b"stopping after this round; press Ctrl-C again to end immediately\n"
STOPPING_TOGETHER = b"stopping after this round\n"  # a launcher forwards only the first Ctrl-C
STOPPED_EARLY = b"stopped before the first round; run the same command to start again\n"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
SENT_BY_LAUNCHERS = (signal.SIGTERM, signal.SIGUSR1)
RAISE_SIGNAL = signal.SIGURG
"""Sent by the thread to the main thread to raise `StoppedEarly` there. Ignored by default."""

WAITING_SECONDS = 2.5
"""How long the main thread may wait after a stop before the first round; then `StoppedEarly` is raised in it."""
IN_ORDER_SECONDS = 15.0
"""The same limit while the main thread works instead of waiting: reads, loads, saves."""
UNWINDING_SECONDS = 1.0
"""Time from `StoppedEarly` to the end of the process, even if its main thread is stuck."""
LOOK_SECONDS = 0.25
WORKING_SHARE = 0.1
"""Share of a processor above which a thread counts as working and not waiting, even on a busy machine."""
INTERRUPTED_SECONDS = 1.0
"""Time from a second Ctrl-C to the end of the process, even if its main thread is stuck."""
ENDING_SECONDS = 0.4
"""Time for the last actions before a forced end."""


class StopFlag:
    """A flag set by the first SIGINT, SIGTERM or SIGUSR1 in a `with` block; a second one ends it now.

    After the block a single process gets its handlers back. One of several is about to end, and ignores the signals
    that launchers send to all processes once one has ended: they would cut off its final output and replace its exit
    status.
    """

    def __init__(
        self, at_early_end: Callable[[int], None] | None = None, *, leave: Callable[[int], object] = os._exit
    ) -> None:
        """
        Args:
            at_early_end: called with the exit status before the thread ends the process; must take less than half a
                second. If given, a signal before `first_round` ends the process within seconds.
            leave: ends the process without notifying the main thread.
        """
        self._leave = leave
        self._received = self._handled = False
        self._starting = at_early_end is not None
        self._at_early_end = at_early_end
        self._previous: dict[int, Any] = {}
        self._acknowledgements = itertools.count()
        self._first: float | None = None
        self._second: float | None = None
        self._raised_at: float | None = None
        self._last_sample, self._waiting = (0.0, 0.0), 0.0
        self._reader, self._writer = -1, -1
        self._outer_wakeup = -1
        self._thread = threading.Thread(target=self._watch, name="stop-signals", daemon=True)

    def is_set(self) -> bool:
        return self._received

    def first_round(self) -> None:
        """Mark the start of the first round: from now on the round loop checks the flag."""
        self._starting = False

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._outer_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, RAISE_SIGNAL):
            handler = self._raise_stopped_early if number == RAISE_SIGNAL else self._receive
            self._previous[number] = signal.signal(number, handler)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._starting = False
        for number, handler in self._previous.items():
            ignore = number in SENT_BY_LAUNCHERS and not _is_single_process()
            signal.signal(number, signal.SIG_IGN if ignore else handler)
        signal.set_wakeup_fd(self._outer_wakeup)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    # -- main thread ----------------------------------------------------------------------------------------------

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._handled and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._handled = self._received = True
        self._acknowledge()

    def _raise_stopped_early(self, number: int, frame: FrameType | None) -> None:
        if self._starting and self._raised_at is not None:
            raise StoppedEarly("stopped before the first round")

    def _acknowledge(self) -> None:
        """Print the acknowledgement once, from whichever thread gets here first."""
        if next(self._acknowledgements) == 0:
            _print_stopping()

    # -- signal thread ----------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            readable, _, _ = select.select([self._reader], [], [], self._seconds_left())
            if readable:
                numbers = os.read(self._reader, 64)
                if not numbers:  # the other end is closed: the block has ended
                    return
                for number in numbers:
                    self._note(number)
            self._end_if_due()

    def _note(self, number: int) -> None:
        if number not in STOP_SIGNALS:
            return
        if self._first is None:
            self._first, self._received = time.monotonic(), True
            self._acknowledge()
        elif number == signal.SIGINT and self._second is None:
            self._second = time.monotonic()

    def _seconds_left(self) -> float | None:
        """Return the seconds until the next check; None if there is nothing to do before another signal."""
        if self._second is not None:
            return max(0.0, self._second + INTERRUPTED_SECONDS - time.monotonic())
        return LOOK_SECONDS if self._first is not None and self._starting else None

    def _end_if_due(self) -> None:
        now = time.monotonic()
        if self._second is not None:
            if now - self._second >= INTERRUPTED_SECONDS:
                self._end(ExitCode.INTERRUPTED)
        elif self._first is not None and self._starting:
            if self._raised_at is not None:
                if now - self._raised_at >= UNWINDING_SECONDS:
                    self._end(ExitCode.PREEMPTED)
            elif self._waited(now) >= WAITING_SECONDS or now - self._first >= IN_ORDER_SECONDS:
                self._raised_at = now
                signal.pthread_kill(threading.main_thread().ident or 0, RAISE_SIGNAL)

    def _waited(self, now: float) -> float:
        """Return the seconds since the signal during which the main thread used almost no processor time."""
        used = time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident or 0))
        before, used_before = self._last_sample
        if self._last_sample != (0.0, 0.0) and used - used_before < WORKING_SHARE * (now - before):
            self._waiting += now - before
        self._last_sample = (now, used)
        return self._waiting

    def _end(self, status: int) -> None:
        last = threading.Thread(target=self._before_end, args=(status,), name="stop-signals-last", daemon=True)
        last.start()
        last.join(ENDING_SECONDS)
        self._leave(status)

    def _before_end(self, status: int) -> None:
        print_from_signal(b"interrupted\n" if status == ExitCode.INTERRUPTED else STOPPED_EARLY)
        if self._at_early_end is not None:
            with contextlib.suppress(Exception):  # the process ends either way
                self._at_early_end(status)


def _is_single_process() -> bool:
    return (os.environ.get("WORLD_SIZE") or "1") == "1"


def _print_stopping() -> None:
    """Acknowledge the stop, once per machine."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    message = STOPPING if _is_single_process() else STOPPING_TOGETHER
    overwrite_echo = b"\r" if os.isatty(STANDARD_ERROR) else b""  # a terminal shows ^C
    print_from_signal(overwrite_echo + message)
