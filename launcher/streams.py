"""Put standard input, output and error into a state that commands can rely on."""

import contextlib
import io
import os
import select
import sys
from typing import TextIO

_SIZES = ("COLUMNS", "LINES")


def settle_streams() -> None:
    """Open /dev/null for every closed stream, and replace characters that a terminal cannot show.

    Otherwise the next file that is opened gets the closed stream's descriptor, and output would go into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor: this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  stays open until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # transcripts have characters that some terminals lack
            stream.reconfigure(errors="replace")


def settle_sizes() -> None:
    """Remove invalid values of COLUMNS and LINES, such as 0, from the environment: tables would be that wide."""
    from shards.display.terminal import columns_of

    for name in _SIZES:
        if name in os.environ and columns_of(os.environ[name]) is None:
            del os.environ[name]


def complain(text: str) -> None:
    """Print to standard error, and ignore a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def reader_has_gone() -> bool:
    """Return whether standard output is a broken pipe (`mms-dist … | head`), and if so, discard further output."""
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
    """Discard everything that is written to standard output from now on."""
    _silence(sys.stdout)


def _silence(stream: TextIO) -> None:
    """Redirect a stream to /dev/null: the interpreter flushes it on exit, which must not fail again."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
