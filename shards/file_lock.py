"""Lock a file against other processes, with the kernel's `flock`."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


class LockedError(Exception):
    """Another process holds the lock, or another `FileLock` of this one."""


class CannotLockError(OSError):
    """The file system does not lock files, as Lustre does not if it is mounted without `-o flock`."""


class FileLock:
    """An exclusive lock on a file, which is created if needed and remains.

    It is released when its holder ends, however that happens, so there are no stale locks. On Linux, NFS passes flock
    on to the server, and Lustre honours it between nodes if mounted with `-o flock`.

        with FileLock(path):  # waits until it is free
            …
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool = True) -> None:
        """Take the lock.

        Raises:
            LockedError: with `wait` false, it is held.
            CannotLockError: the file system does not lock files.
            OSError: the file cannot be opened.
        """
        assert self._descriptor is None, "the lock is already held"
        while self._descriptor is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                lock_descriptor(descriptor, wait=wait)
                # A holder that removed the file has let this process lock a file that nobody else can see.
                if os.fstat(descriptor).st_nlink:
                    self._descriptor = descriptor
            except CannotLockError as error:
                error.filename = str(self.path)
                raise
            finally:
                if self._descriptor is None:
                    os.close(descriptor)

    def write(self, content: bytes) -> None:
        """Replace the content of the file, for example with the name of its holder.

        Raises:
            OSError: it cannot be written completely.
        """
        assert self._descriptor is not None, "the lock is not held"
        if os.pwrite(self._descriptor, content, 0) != len(content):  # a full disk may write only a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.ftruncate(self._descriptor, len(content))

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Whether a `FileLock` on this file is held. Neither creates nor changes the file.

    Raises:
        CannotLockError: the file system does not lock files.
        OSError: the file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        lock_descriptor(descriptor, wait=False, shared=True)
    except LockedError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock_descriptor(descriptor: int, *, wait: bool, shared: bool = False) -> None:
    """Lock an open file or folder until its descriptor is closed. Raises as `FileLock.acquire`."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            raise LockedError from error
        raise CannotLockError(error.errno, error.strerror) from error
