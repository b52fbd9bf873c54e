"""The console for the output of all commands: it prints text unchanged and fits it to the terminal."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

from rich.console import Console

_PLAIN_WIDTH = 100
_NOTEBOOK = "JPY_PARENT_PID"  # Jupyter sets it for kernels, and what these run inherits it
NARROWEST, WIDEST = 20, 10_000
"""In columns. Below the first, tables are unreadable; a COLUMNS above the second is a typing error."""


class Terminal(Console):
    """A console without emoji codes, so that `:zero:` is printed as it is.

    The width is that of the terminal, or COLUMNS; without either, `pipe_width`. A notebook runs commands in a terminal
    whose cursor it does not move, so there the output is that of a log.
    """

    def __init__(self, *, file: IO[str] | None = None, stderr: bool = False, pipe_width: int, **options: Any) -> None:
        stream = file or (sys.stderr if stderr else sys.stdout)
        columns = columns_of(os.environ.get("COLUMNS"))
        if columns is None and (stream is None or not stream.isatty()):
            columns = pipe_width
        # None leaves the width to the terminal, which the user can resize. Invalid sizes are hidden from rich.
        invalid = [name for name in ("COLUMNS", "LINES") if columns_of(os.environ.get(name)) is None]
        environment = {name: value for name, value in os.environ.items() if name not in invalid}
        if _NOTEBOOK in os.environ:
            options.setdefault("force_terminal", False)
        super().__init__(file=file, stderr=stderr, emoji=False, width=columns, _environ=environment, **options)

    def on_broken_pipe(self) -> None:
        """Re-raise the BrokenPipeError, so that the command ends as it would with `print`."""
        raise  # rich calls this method in its except block


def columns_of(text: str | None) -> int | None:
    """Parse the width in COLUMNS; None if it is not a usable width, such as 0."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 5:
        return None
    return max(NARROWEST, int(text)) if 0 < int(text) <= WIDEST else None


def make_console(*, stderr: bool = False) -> Console:
    """Create a console as wide as the terminal. Without a terminal, COLUMNS or 100 is the width."""
    return Terminal(stderr=stderr, pipe_width=_PLAIN_WIDTH, highlight=False, markup=False)


def say(console: Console, line: str) -> None:
    """Print a line without inserting line breaks, so that commands and paths in it can be copied."""
    console.print(line, soft_wrap=True)
