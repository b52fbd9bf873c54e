"""Allow only one writer per run directory."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType

from mms_dist.errors import CheckpointError

_FILENAME = "run.lock"


class RunLock:
    """A lock on RUN for one process, so that two runs never write to one directory.

    It is a kernel lock (`flock`), released when its holder ends, however that happens, so there are no stale locks.
    The file `RUN/run.lock` remains and names the last holder. On Linux, NFS passes flock on to the server, and Lustre
    honours it between nodes if mounted with `-o flock`.

        with RunLock(run_directory):
            …
    """

    def __init__(self, run_directory: Path) -> None:
        self.path = Path(run_directory) / _FILENAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, and create the run directory if needed.

        Raises:
            CheckpointError: another process holds it (the message names its process ID and host), or the directory
                cannot be written.
        """
        assert self._descriptor is None, "the lock is already held"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as problem:
            raise _cannot_write(self.path.parent, problem) from problem
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise CheckpointError(
                f"the run directory {self.path.parent} is in use by {holder}",
                fix="wait for that run, stop it, or choose another directory with run.directory",
            ) from problem
        except OSError as problem:
            os.close(descriptor)
            raise CheckpointError(
                f"cannot lock {self.path}: {problem.strerror}",
                fix="put run.directory on a file system with file locks (Lustre: mounted with -o flock)",
            ) from problem
        try:
            _write_name(descriptor)
        except OSError as problem:
            os.close(descriptor)
            raise _cannot_write(self.path.parent, problem) from problem
        self._descriptor = descriptor

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

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
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise CheckpointError(f"cannot read {path}: {problem.strerror}", fix="make it readable") from problem
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    except OSError as problem:
        raise CheckpointError(
            f"cannot lock {path}: {problem.strerror}",
            fix="put run.directory on a file system with file locks (Lustre: mounted with -o flock)",
        ) from problem
    finally:
        os.close(descriptor)
    return None


def _write_name(descriptor: int) -> None:
    """Write this process's ID and host into the lock file, over those of the previous holder."""
    content = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
    written = os.pwrite(descriptor, content, 0)
    if written != len(content):  # a full disk may write only a part
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(descriptor, len(content))


def _cannot_write(directory: Path, problem: OSError) -> CheckpointError:
    space = "free space or quota there, or " if problem.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return CheckpointError(
        f"cannot write the run directory {directory}: {problem.strerror}",
        fix=f"{space}choose another with run.directory",
    )


def _holder(descriptor: int) -> str:
    try:
        entry = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {entry['pid']} on {entry['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        # The holder has the lock but has not written its name yet.
        return "another process"
