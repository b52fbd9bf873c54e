"""Print what a slow start is doing: which ranks it waits for in a collective, or what it is loading or reading."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Self

from mms_dist.distributed.main_thread import MainThread
from mms_dist.distributed.startup_waits import Notices, tell

_POLL_SECONDS = 0.2


class StartNotices:
    """A thread that watches the main thread until the first round."""

    def __init__(self, who: str, main: MainThread, whom: Callable[[], str] | None = None) -> None:
        """
        Args:
            who: this process, such as `rank 0 of 4`.
            whom: returns the ranks that the others wait for, and what they are doing; only called to print a notice.
        """
        self._who, self._main, self._whom = who, main, whom
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
        ticks, since, notices = -1, 0.0, Notices()
        while not self._ended.wait(_POLL_SECONDS):
            now, doing = time.monotonic(), self._main.now
            if doing.ticks != ticks:
                ticks, since, notices = doing.ticks, now, Notices()
            elif notices.are_due(now - since):
                self._tell(doing.doing, doing.waiting_for, now - since)

    def _tell(self, doing: str, waiting_for: str | None, seconds: float) -> None:
        if waiting_for is None:
            tell(f"{self._who} has been {doing} for {seconds:.0f} s")
            return
        whom = "the others"
        if self._whom is not None:
            with contextlib.suppress(RuntimeError, OSError):  # the watchdog finds out if the store is gone
                whom = self._whom()
        tell(f"{self._who} has waited {seconds:.0f} s for {whom}: {waiting_for}")
