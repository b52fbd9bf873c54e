"""End a process without losing its exit status."""

import contextlib
import os
import sys
from typing import NoReturn


def exit_process(status: int) -> NoReturn:
    """End this process with its exit status.

    After a failure the process group, if any, is still open, since an error path starts no collective. The
    interpreter's own shutdown can then abort in the group's threads, which would replace the exit status.
    """
    if status == 0:
        sys.exit(0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError, OSError, ValueError
        ):  # there is no stream, its reader closed the pipe, or it is closed
            stream.flush()
    os._exit(status)
