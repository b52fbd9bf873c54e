"""The end of a training process."""

import os
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End this process with its exit status.

    After a failure its process group still stands, since nothing is said to other ranks on an error path, and the
    interpreter's own end may abort among the group's threads. That would take the place of the exit status.
    """
    if status == 0:
        sys.exit(0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
