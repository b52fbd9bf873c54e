"""A signal sets a flag; the round loop looks at it between rounds.

Before the first round there is nothing to finish and nothing to save, and a start may be waiting for what never comes:
another rank, a download, a lock. So there a stop comes about in order only as long as the main thread gets on, and ends
the process when that waits.
Python runs signal handlers between two of its own instructions only, and a call into a library may last for ever. So
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

from mms_dist.errors import ExitCode, StoppedEarly

STANDARD_ERROR = 2
STOPPING = b"stopping after this round; Ctrl-C again ends at once\n"
STOPPING_TOGETHER = b"stopping after this round\n"  # a launcher passes on the first Ctrl-C only
STOPPED_EARLY = b"stopped before the first round; the same command begins again\n"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
SENT_BY_LAUNCHERS = (signal.SIGTERM, signal.SIGUSR1)
ENOUGH = signal.SIGURG
"""What the thread sends to the main thread to raise `StoppedEarly` there; ignored by whoever has no handler."""

WAITING_SECONDS = 2.5
"""That the main thread may wait after a stop before the first round; `StoppedEarly` is raised in it then."""
IN_ORDER_SECONDS = 15.0
"""The same, if it works: reads, loads, saves."""
UNWINDING_SECONDS = 1.0
"""From there to the end of the process, whatever its main thread is stuck in."""
LOOK_SECONDS = 0.25
WORKING_SHARE = 0.1
"""Of a processor, that tells work from waiting, on a busy machine as well."""
INTERRUPTED_SECONDS = 1.0
"""From a second Ctrl-C to the end of the process, likewise."""
ENDING_SECONDS = 0.4
"""For what is done at such an end."""


class StopFlag:
    """Set by the first SIGINT, SIGTERM or SIGUSR1 inside a `with` block; a second SIGINT interrupts at once.

    Behind the block a process alone has its handlers back. One of several is about to end, and ignores what launchers
    send to all as soon as one has ended: it would cut off its last words and take the place of its exit status.
    """

    def __init__(
        self, at_early_end: Callable[[int], None] | None = None, *, leave: Callable[[int], object] = os._exit
    ) -> None:
        """
        Args:
            at_early_end: what to do, for less than half a second, where the process is ended from a thread; it is
                given the exit status. With it a signal before `first_round` ends the process within seconds.
            leave: ends the process, without a word to the main thread.
        """
        self._leave = leave
        self._received = self._handled = False
        self._starting = at_early_end is not None
        self._at_early_end = at_early_end
        self._previous: dict[int, Any] = {}
        self._acknowledgements = itertools.count()
        self._first: float | None = None
        self._second: float | None = None
        self._told_enough: float | None = None
        self._looked, self._waiting = (0.0, 0.0), 0.0
        self._reader, self._writer = -1, -1
        self._outer_wakeup = -1
        self._thread = threading.Thread(target=self._watch, name="stop-signals", daemon=True)

    def is_set(self) -> bool:
        return self._received

    def first_round(self) -> None:
        """From here on the round loop looks at the flag."""
        self._starting = False

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._outer_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*STOP_SIGNALS, ENOUGH):
            handler = self._be_told_enough if number == ENOUGH else self._receive
            self._previous[number] = signal.signal(number, handler)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._starting = False
        for number, handler in self._previous.items():
            is_over = number in SENT_BY_LAUNCHERS and not _is_alone()
            signal.signal(number, signal.SIG_IGN if is_over else handler)
        signal.set_wakeup_fd(self._outer_wakeup)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    # -- the main thread's side -----------------------------------------------------------------------------------

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._handled and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._handled = self._received = True
        self._acknowledge()

    def _be_told_enough(self, number: int, frame: FrameType | None) -> None:
        if self._starting and self._told_enough is not None:
            raise StoppedEarly("stopped before the first round")

    def _acknowledge(self) -> None:
        """Once, by whichever thread comes to it first."""
        if next(self._acknowledgements) == 0:
            _tell_of_stopping()

    # -- the thread's side ------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            readable, _, _ = select.select([self._reader], [], [], self._seconds_left())
            if readable:
                numbers = os.read(self._reader, 64)
                if not numbers:  # the other end is closed: the block is over
                    return
                for number in numbers:
                    self._note(number)
            self._see_to_the_end()

    def _note(self, number: int) -> None:
        if number not in STOP_SIGNALS:
            return
        if self._first is None:
            self._first, self._received = time.monotonic(), True
            self._acknowledge()
        elif number == signal.SIGINT and self._second is None:
            self._second = time.monotonic()

    def _seconds_left(self) -> float | None:
        """To the next look; None: there is nothing to do before another signal."""
        if self._second is not None:
            return max(0.0, self._second + INTERRUPTED_SECONDS - time.monotonic())
        return LOOK_SECONDS if self._first is not None and self._starting else None

    def _see_to_the_end(self) -> None:
        now = time.monotonic()
        if self._second is not None:
            if now - self._second >= INTERRUPTED_SECONDS:
                self._end(ExitCode.INTERRUPTED)
        elif self._first is not None and self._starting:
            if self._told_enough is not None:
                if now - self._told_enough >= UNWINDING_SECONDS:
                    self._end(ExitCode.PREEMPTED)
            elif self._waited(now) >= WAITING_SECONDS or now - self._first >= IN_ORDER_SECONDS:
                self._told_enough = now
                signal.pthread_kill(threading.main_thread().ident or 0, ENOUGH)

    def _waited(self, now: float) -> float:
        """Seconds since the signal in which the main thread used next to no processor time."""
        used = time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident or 0))
        before, used_before = self._looked
        if self._looked != (0.0, 0.0) and used - used_before < WORKING_SHARE * (now - before):
            self._waiting += now - before
        self._looked = (now, used)
        return self._waiting

    def _end(self, status: int) -> None:
        last = threading.Thread(target=self._do_last, args=(status,), name="stop-signals-last", daemon=True)
        last.start()
        last.join(ENDING_SECONDS)
        self._leave(status)

    def _do_last(self, status: int) -> None:
        with contextlib.suppress(OSError):
            os.write(STANDARD_ERROR, b"interrupted\n" if status == ExitCode.INTERRUPTED else STOPPED_EARLY)
        if self._at_early_end is not None:
            with contextlib.suppress(Exception):  # the process ends in any case
                self._at_early_end(status)


def _is_alone() -> bool:
    return (os.environ.get("WORLD_SIZE") or "1") == "1"


def _tell_of_stopping() -> None:
    """Without `print`, which may be at work when the signal comes; once for all processes of a machine."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    words = STOPPING if _is_alone() else STOPPING_TOGETHER
    over_the_echo = b"\r" if os.isatty(STANDARD_ERROR) else b""  # a terminal shows ^C
    with contextlib.suppress(OSError):  # no standard error is no reason not to stop
        os.write(STANDARD_ERROR, over_the_echo + words)
