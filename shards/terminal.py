"""The console that all commands print on: text stays as it is, and fits where it is read."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

from rich.console import Console

NARROWEST, WIDEST = 20, 10_000
"""Columns. Below, a table is a letter wide; above, COLUMNS is a slip."""


class Terminal(Console):
    """A console without emoji codes, where `:zero:` is what a sentence says.

    It is as wide as the terminal, or as COLUMNS says; without either, `pipe_width`.
    """

    def __init__(self, *, file: IO[str] | None = None, stderr: bool = False, pipe_width: int, **options: Any) -> None:
        stream = file or (sys.stderr if stderr else sys.stdout)
        columns = columns_of(os.environ.get("COLUMNS"))
        if columns is None and (stream is None or not stream.isatty()):
            columns = pipe_width
        # None leaves it to the terminal, which may be made wider and narrower. What says no size is kept from rich.
        unsaid = [name for name in ("COLUMNS", "LINES") if columns_of(os.environ.get(name)) is None]
        environment = {name: value for name, value in os.environ.items() if name not in unsaid}
        super().__init__(file=file, stderr=stderr, emoji=False, width=columns, _environ=environment, **options)

    def on_broken_pipe(self) -> None:
        """Let the command end as it does when `print` finds that its reader has gone."""
        raise  # rich calls this where it has caught the error


def columns_of(text: str | None) -> int | None:
    """The width that COLUMNS asks for; None if it asks for nothing that could be one, such as 0."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 5:
        return None
    return max(NARROWEST, int(text)) if 0 < int(text) <= WIDEST else None
