"""What the main thread does: noted by it without locks or I/O, read by the threads that watch it."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple


class Doing(NamedTuple):
    """Replaced as a whole, so that other threads never see half of it."""

    ticks: int = 0
    """Counts the main thread's signs of life."""
    doing: str = "starting"
    waiting_for: str | None = None
    """What other ranks have to come to as well."""
    waiting_since: float = 0.0


class MainThread:
    """Its side of being watched."""

    def __init__(self) -> None:
        self.now = Doing()

    def seconds(self) -> float:
        """The clock of `waiting_since`."""
        return 0.0

    def mark(self, doing: str) -> None:
        """A sign of life, with what is done from here on."""
        self.now = self.now._replace(ticks=self.now.ticks + 1, doing=doing)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Around whatever returns only when other ranks have come as far."""
        outer = self.now
        self.now = outer._replace(ticks=outer.ticks + 1, waiting_for=what, waiting_since=self.seconds())
        try:
            yield
        finally:
            inner = self.now
            self.now = outer._replace(ticks=inner.ticks + 1, doing=inner.doing)
