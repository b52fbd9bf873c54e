"""What a command is doing where it cannot tell how much there is: a moving line on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.markup import escape

from shards.display.terminal import say

PLAIN_SECONDS = 2.0


class CurrentWork:
    """Shows one description at a time, with the time since the beginning on a terminal.

    Elsewhere it prints a line for work that begins more than `PLAIN_SECONDS` after the line before, so that a command
    that is done at once prints nothing.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._begun = self._told = clock()
        self._status = console.status("")

    def describe(self, text: str) -> None:
        """Show what is being worked on from now on."""
        now = self._clock()
        self._status.update(escape(f"{text} ({now - self._begun:.0f} s)" if now - self._begun >= 1 else text))
        if not self._console.is_terminal and now - self._told >= PLAIN_SECONDS:
            self._told = now
            say(self._console, f"{text} ({now - self._begun:.0f} s)")

    def __enter__(self) -> CurrentWork:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the moving line; a second call does nothing."""
        self._status.stop()
