"""What parts of a rank have met that a user should know of, and that training goes on without."""

from collections import deque


class Notices:
    """Noted by any thread, and told between two rounds as events of `monitor.events.KINDS`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str]] = deque()

    def add(self, kind: str, reason: str) -> None:
        self._waiting.append((kind, reason))

    def take(self) -> list[tuple[str, str]]:
        """Kinds and reasons that were not taken yet, in their order."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
