"""The main thread's current activity. It records this without locks or I/O, for the threads that watch it."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple


class Activity(NamedTuple):
    """The main thread's current activity. Replaced as a whole, so that other threads never see a partial update."""

    ticks: int = 0
    """Counts the main thread's signs of life."""
    doing: str = "starting"
    waiting_for: str | None = None
    """The point that other ranks must reach, too."""
    waiting_since: float = 0.0


class MainThread:
    """The main thread's side of the watchdog."""

    def __init__(self) -> None:
        self.now = Activity()

    def seconds(self) -> float:
        """The clock of `waiting_since`."""
        return 0.0

    def mark(self, doing: str) -> None:
        """Record a sign of life, and what the thread does from here on."""
        self.now = self.now._replace(ticks=self.now.ticks + 1, doing=doing)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Wrap a call that returns only when other ranks reach the same point."""
        outer = self.now
        self.now = outer._replace(ticks=outer.ticks + 1, waiting_for=what, waiting_since=self.seconds())
        try:
            yield
        finally:
            inner = self.now
            self.now = outer._replace(ticks=inner.ticks + 1, doing=inner.doing)
