"""Standard input, output and error as a command can rely on them, whatever they were when it was started."""

import contextlib
import io
import os
import select
import sys
from typing import TextIO

_SIZES = ("COLUMNS", "LINES")


def settle_streams() -> None:
    """Stand something in for a stream that is closed, and let no character stop a command.

    The number of a closed stream would go to the next file that is opened, and what is printed into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  it is open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # transcripts have more characters than some terminals
            stream.reconfigure(errors="replace")


def settle_sizes() -> None:
    """Take COLUMNS and LINES out of the environment where they say nothing, such as 0: tables would be that wide."""
    from shards.terminal import columns_of

    for name in _SIZES:
        if name in os.environ and columns_of(os.environ[name]) is None:
            del os.environ[name]


def complain(text: str) -> None:
    """Print on standard error, if anyone reads it."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def reader_has_gone() -> bool:
    """Whether standard output is a pipe that broke (`mms-dist … | head`), and if so, make it silent."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        broken = any(state & select.POLLERR for _, state in poll.poll(0))
    except (OSError, ValueError):
        return False
    if broken:
        _silence(sys.stdout)
    return broken


def silence_output() -> None:
    """Let nothing more be written to standard output."""
    _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    """The interpreter flushes once more on exit, and must not find the problem again."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
