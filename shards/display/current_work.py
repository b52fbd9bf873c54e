"""What a command is doing where it cannot tell how much there is: a moving line on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shards.display.plain_lines import PlainLines
from shards.display.terminal import make_console


class CurrentWork:
    """Shows one description at a time, with the time since the beginning.

    Without a terminal, a command that is done within two seconds prints nothing.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._text = ""
        self._lines = PlainLines(console, lambda elapsed: f"{self._text} ({elapsed:.0f} s)", clock=clock)
        self._moving = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            get_time=clock,
        )
        self._task = self._moving.add_task("", total=None)

    def describe(self, text: str) -> None:
        """Show what is being worked on from now on."""
        self._text = text
        self._moving.update(self._task, description=escape(text))
        self._lines.tick()

    def __enter__(self) -> CurrentWork:
        self._moving.start()
        self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the moving line; a second call does nothing."""
        self._lines.stop()
        self._moving.stop()


@contextmanager
def at_work(text: str) -> Iterator[CurrentWork]:
    """Show on standard error that a command does this."""
    with CurrentWork(make_console(stderr=True)) as work:
        work.describe(text)
        yield work
