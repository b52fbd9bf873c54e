"""The end of a process."""

import contextlib
import os
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End this process with its exit status.

    After a failure the group of processes that it may be in still stands, since nothing is said to others on an error
    path, and the interpreter's own end may abort among the group's threads. That would take the place of the status.
    """
    if status == 0:
        sys.exit(0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError, OSError, ValueError
        ):  # there is none, its reader has gone, it is closed
            stream.flush()
    os._exit(status)
