"""Waits before the first round: print a notice after ten seconds, and end when a stop is requested.

A wait inside a C library neither runs Python's signal handlers nor prints anything. So a process polls where it can
(`StartupWait`), and runs a call that blocks in a thread (`StartupWait.call`). What the main thread waits for in a
collective, or does itself for long, a thread of its own prints (`StartNotices`).
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

from mms_dist.distributed.main_thread import MainThread
from mms_dist.errors import StoppedEarly

_T = TypeVar("_T")
FIRST_NOTICE_SECONDS = 10.0
"""Time until a process first prints what it waits for; later notices come after a minute and every five minutes."""
_NEXT_NOTICES, _EVERY = (6.0, 30.0), 30.0
"""In units of `FIRST_NOTICE_SECONDS`."""
_POLL_SECONDS, _WATCH_SECONDS = 0.05, 0.2


class NoticeTimes:
    """When to print a notice about one wait."""

    def __init__(self) -> None:
        self._next, self._further = FIRST_NOTICE_SECONDS, list(_NEXT_NOTICES)

    def are_due(self, waited_seconds: float) -> bool:
        """Whether to print a notice now; if so, schedule the next one."""
        if waited_seconds < self._next:
            return False
        while self._next <= waited_seconds:
            units = self._further.pop(0) if self._further else self._next / FIRST_NOTICE_SECONDS + _EVERY
            self._next = units * FIRST_NOTICE_SECONDS
        return True


def print_notice(text: str) -> None:
    """Print one line on standard error; ignore errors if it is closed."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)


class StartupWait:
    """One wait of this process for others."""

    def __init__(self, who: str, where: str, stop_requested: Callable[[], bool] = lambda: False) -> None:
        """
        Args:
            who: this process, such as `rank 0 of 4`.
            where: where it waits, with the address, and what to check.
        """
        self._who, self._where, self._stop_requested = who, where, stop_requested
        self._began, self._notices = time.monotonic(), NoticeTimes()

    def check(self, describe_waited_for: Callable[[], str]) -> None:
        """Call this repeatedly while waiting.

        Args:
            describe_waited_for: returns who is missing; only called to print a notice.

        Raises:
            StoppedEarly: a stop was requested.
        """
        if self._stop_requested():
            raise StoppedEarly(f"{self._who} was stopped while it waited for {describe_waited_for()} {self._where}")
        waited = time.monotonic() - self._began
        if self._notices.are_due(waited):
            print_notice(f"{self._who} has waited {waited:.0f} s for {describe_waited_for()} {self._where}")

    def pause(self, describe_waited_for: Callable[[], str], seconds: float = _POLL_SECONDS) -> None:
        """`check`, and sleep a little."""
        self.check(describe_waited_for)
        time.sleep(seconds)

    def call(self, work: Callable[[], _T], *, longest_seconds: float, describe_waited_for: Callable[[], str]) -> _T:
        """Run uninterruptible `work` in a thread, and abandon the thread if it takes too long.

        Raises:
            TimeoutError: it took longer than `longest_seconds`.
            StoppedEarly: a stop was requested.
            Exception: what `work` raises.
        """
        return in_thread(work, longest_seconds=longest_seconds, check=lambda: self.check(describe_waited_for))


def in_thread(work: Callable[[], _T], *, longest_seconds: float, check: Callable[[], None]) -> _T:
    """Run uninterruptible `work` in a thread, and abandon the thread if it takes too long.

    Args:
        check: called repeatedly meanwhile; if it raises, the wait ends.

    Raises:
        TimeoutError: it took longer than `longest_seconds`.
        Exception: what `work` or `check` raises.
    """
    done, outcome = threading.Event(), dict[str, Any]()

    def run() -> None:
        try:
            outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error
        done.set()

    deadline = time.monotonic() + longest_seconds
    threading.Thread(target=run, name="waiting", daemon=True).start()
    while not done.wait(_POLL_SECONDS):
        check()
        if time.monotonic() > deadline:
            raise TimeoutError
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


class StartNotices:
    """A thread that watches the main thread until the first round."""

    def __init__(self, who: str, main: MainThread, describe_waited_for: Callable[[], str] | None = None) -> None:
        """
        Args:
            who: this process, such as `rank 0 of 4`.
            describe_waited_for: returns the ranks that the others wait for, and what they are doing; only called to
                print a notice.
        """
        self._who, self._main, self._describe_waited_for = who, main, describe_waited_for
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="start-notices", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.end()
        self._thread.join(timeout=1.0)

    def end(self) -> None:
        """The start is over."""
        self._ended.set()

    def _watch(self) -> None:
        ticks, since, notices = -1, 0.0, NoticeTimes()
        while not self._ended.wait(_WATCH_SECONDS):
            now, doing = time.monotonic(), self._main.now
            if doing.ticks != ticks:
                ticks, since, notices = doing.ticks, now, NoticeTimes()
            elif notices.are_due(now - since):
                self._tell(doing.doing, doing.waiting_for, now - since)

    def _tell(self, doing: str, waiting_for: str | None, seconds: float) -> None:
        if waiting_for is None:
            print_notice(f"{self._who} has been {doing} for {seconds:.0f} s")
            return
        missing = "the others"
        if self._describe_waited_for is not None:
            with contextlib.suppress(RuntimeError, OSError):  # the watchdog finds out if the store is gone
                missing = self._describe_waited_for()
        print_notice(f"{self._who} has waited {seconds:.0f} s for {missing}: {waiting_for}")
