"""The run's status where a start was stopped before its first round, however far it had come."""

import os
import socket
from pathlib import Path

from mms_dist.checkpoint.lock import RunLock
from mms_dist.errors import ExitCode
from mms_dist.training.attempts import Attempt, RunState, begin, is_automatic_restart, read_status


def note_stopped(directory: Path, *, exit_code: int, processes: int = 1) -> None:
    """Note that this process's attempt has been stopped, unless that is noted or the directory is another run's.

    Only rank 0 calls it. `exit_code` is 75 of a stop, and anything else of an interrupt.

    Raises:
        MmsDistError: the status cannot be read or written.
    """
    status = read_status(directory)
    if status is not None and (status.host, status.pid) == (socket.gethostname(), os.getpid()):
        if status.state == RunState.RUNNING:
            _finish(Attempt(directory, status, allowed=0, last=None), exit_code)
        return
    with RunLock(directory):  # it had not begun
        _finish(begin(directory, processes=processes, automatic=is_automatic_restart(), allowed=0), exit_code)


def _finish(attempt: Attempt, exit_code: int) -> None:
    if exit_code == ExitCode.PREEMPTED:
        attempt.finish(RunState.PREEMPTED, exit_code=exit_code)
    else:
        attempt.finish(RunState.FAILED, exit_code=exit_code, reason="interrupted")
