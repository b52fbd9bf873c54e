"""Lines about work that goes on, where there is no terminal: the first after two seconds, then ever more rarely."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rich.console import Console

FIRST_SECONDS = 2.0
LATER_SECONDS, LATEST_SECONDS = 10.0, 60.0
ELAPSED_FRACTION = 0.05
"""Interval over elapsed time: after three minutes, lines become rarer, until one a minute is left."""
TICK_SECONDS = 0.5


class PlainLines:
    """Prints what `line` returns from time to time, and nothing on a terminal.

    A thread prints, so that a single step that takes long is shown, too.

    Args:
        line: called with the seconds since the beginning.
    """

    def __init__(
        self, console: Console, line: Callable[[float], str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._line = line
        self._clock = clock
        self._begun = self._told = clock()
        self._wait_seconds = FIRST_SECONDS
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        """Start to print."""
        if not self._console.is_terminal:
            threading.Thread(target=self._run, name="plain lines", daemon=True).start()

    def tick(self) -> None:
        """Print a line if it is time for one."""
        if self._console.is_terminal:
            return
        with self._lock:
            now = self._clock()
            if self._ended.is_set() or now - self._told < self._wait_seconds:
                return
            elapsed, self._told = now - self._begun, now
            self._wait_seconds = max(LATER_SECONDS, min(LATEST_SECONDS, ELAPSED_FRACTION * elapsed))
            self._console.print(self._line(elapsed), soft_wrap=True, highlight=False, markup=False)

    def stop(self) -> None:
        """Print nothing from now on; a second call does nothing."""
        with self._lock:
            self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(TICK_SECONDS):
            try:
                self.tick()
            except (OSError, ValueError):  # the reader has gone; the work's own output ends the command
                return
