"""Allow only one writer per run directory."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from types import TracebackType

from mms_dist.errors import CheckpointError
from shards.file_lock import CannotLockError, FileLock, LockedError, is_locked

_FILENAME = "run.lock"


class RunLock:
    """A lock on RUN for one process, so that two runs never write to one directory.

    The file `RUN/run.lock` remains and names the last holder.

        with RunLock(run_directory):
            …
    """

    def __init__(self, run_directory: Path) -> None:
        self.path = Path(run_directory) / _FILENAME
        self._lock = FileLock(self.path)

    def acquire(self) -> None:
        """Take the lock, and create the run directory if needed.

        Raises:
            CheckpointError: another process holds it (the message names its process ID and host), or the directory
                cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(wait=False)
            self._lock.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        except LockedError as problem:
            raise CheckpointError(
                f"the run directory {self.path.parent} is in use by {_holder(self.path)}",
                fix="wait for that run, stop it, or choose another directory with run.directory",
            ) from problem
        except CannotLockError as problem:
            raise _cannot_lock(self.path, problem) from problem
        except OSError as problem:
            self._lock.release()
            raise _cannot_write(self.path.parent, problem) from problem

    def release(self) -> None:
        """Release the lock, if it is held."""
        self._lock.release()

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def lock_holder(run_directory: Path) -> str | None:
    """The current holder of a run directory's lock, such as `process 17 on node01`; None if it is free.

    Raises:
        CheckpointError: the lock file cannot be read or locked.
    """
    path = Path(run_directory) / _FILENAME
    try:
        return _holder(path) if is_locked(path) else None
    except CannotLockError as problem:
        raise _cannot_lock(path, problem) from problem
    except OSError as problem:
        raise CheckpointError(f"cannot read {path}: {problem.strerror}", fix="make it readable") from problem


def _cannot_lock(path: Path, problem: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot lock {path}: {problem.strerror}",
        fix="put run.directory on a file system with file locks (Lustre: mounted with -o flock)",
    )


def _cannot_write(directory: Path, problem: OSError) -> CheckpointError:
    space = "free space or quota there, or " if problem.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return CheckpointError(
        f"cannot write the run directory {directory}: {problem.strerror}",
        fix=f"{space}choose another with run.directory",
    )


def _holder(path: Path) -> str:
    try:
        entry = json.loads(path.read_bytes())
        return f"process {entry['pid']} on {entry['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # The holder has the lock but has not written its name yet.
        return "another process"
