"""The console of all commands: standard streams that can be relied on, and the ways to print to standard error.

Tables and progress are printed by `mms_dist.monitor.console`, and those of shards by `shards.display.terminal`: the
launcher may import both, and neither may import the launcher.
"""

import contextlib
import io
import json
import os
import select
import sys
from typing import Any, TextIO

STANDARD_ERROR = 2
_SIZES = ("COLUMNS", "LINES")


def prepare_streams() -> None:
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


def drop_invalid_sizes() -> None:
    """Remove invalid values of COLUMNS and LINES, such as 0, from the environment: tables would be that wide."""
    from shards.display.terminal import columns_of

    for name in _SIZES:
        if name in os.environ and columns_of(os.environ[name]) is None:
            del os.environ[name]


def print_error(text: str) -> None:
    """Print to standard error, and ignore a closed pipe."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def print_log(line: str) -> None:
    """Print a line to a job's log."""
    print_error(f"mms-dist: {line}")


def print_json(values: Any, *, indent: int = 2) -> None:
    """Print values as JSON to standard output."""
    json.dump(values, sys.stdout, indent=indent, ensure_ascii=False, allow_nan=False)
    print()


def print_from_signal(message: bytes) -> None:
    """Write to standard error from a signal handler or beside a stuck thread: `print` could wait for a lock."""
    with contextlib.suppress(OSError):
        os.write(STANDARD_ERROR, message)


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
