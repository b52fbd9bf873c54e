"""Where the monitor prints when nobody says otherwise."""

import os
import sys

from rich.console import Console

from shards.terminal import Terminal

LOG_WIDTH = 120  # of a batch log or a pipe: it has no width of its own, and 80 would cost columns


def standard_console() -> Console:
    """Standard output, as wide as its terminal, or as COLUMNS says."""
    return Terminal(file=sys.stdout, pipe_width=LOG_WIDTH)


def error_console() -> Console:
    """Standard error, likewise."""
    return Terminal(stderr=True, pipe_width=LOG_WIDTH)


def can_redraw(console: Console) -> bool:
    """Whether someone looks at a terminal that can move its cursor: not a pipe, a batch log or CI."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("CI")
