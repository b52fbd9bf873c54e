"""The consoles that commands print to by default."""

import os
import sys

from rich.console import Console

from shards.display.terminal import Terminal

LOG_WIDTH = 120  # width of a batch log or a pipe, which has none of its own; at 80, tables would lose columns


def standard_console() -> Console:
    """Return a console on standard output. Its width is that of the terminal, or COLUMNS."""
    return Terminal(file=sys.stdout, pipe_width=LOG_WIDTH)


def error_console() -> Console:
    """Return a console on standard error, with its width chosen the same way."""
    return Terminal(stderr=True, pipe_width=LOG_WIDTH)


def can_redraw(console: Console) -> bool:
    """Whether the console is a terminal that can move its cursor: not a pipe, a batch log or CI."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
