"""Collect problems that the user should know about but that do not stop training."""

from collections import deque


class Notices:
    """A queue of notices. Any thread may add one; between rounds they become events of `monitor.events.KINDS`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str]] = deque()

    def add(self, kind: str, reason: str) -> None:
        self._waiting.append((kind, reason))

    def take(self) -> list[tuple[str, str]]:
        """Remove and return all waiting notices, as (kind, reason), oldest first."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
