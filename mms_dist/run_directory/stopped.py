"""Record the run's status when a start is stopped before its first round."""

import os
import socket
from pathlib import Path

from mms_dist.errors import ExitCode
from mms_dist.run_directory.lock import RunLock
from mms_dist.run_directory.status_file import Attempt, RunState, begin, is_automatic_restart, read_status


def note_stopped(directory: Path, *, exit_code: int, processes: int = 1) -> None:
    """Record that this process's attempt was stopped, unless its end is already recorded.

    Only rank 0 calls this. `exit_code` is 75 for a stop, and anything else for an interrupt.

    Raises:
        MmsDistError: the status cannot be read or written, or another run holds the directory's lock.
    """
    status = read_status(directory)
    if status is not None and (status.host, status.pid) == (socket.gethostname(), os.getpid()):
        if status.state == RunState.RUNNING:
            _finish(Attempt(directory, status, allowed=0, last=None), exit_code)
        return
    with RunLock(directory):  # the attempt had not begun
        _finish(begin(directory, processes=processes, automatic=is_automatic_restart(), allowed=0), exit_code)


def _finish(attempt: Attempt, exit_code: int) -> None:
    if exit_code == ExitCode.PREEMPTED:
        attempt.finish(RunState.PREEMPTED, exit_code=exit_code)
    else:
        attempt.finish(RunState.FAILED, exit_code=exit_code, reason="interrupted")
