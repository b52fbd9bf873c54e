"""The end of a process."""

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
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
