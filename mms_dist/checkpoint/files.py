"""Writing so that a killed process or a full disk never leaves half a file under a final name."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from uuid import uuid4

from mms_dist.errors import CheckpointError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def unique(prefix: str) -> str:
    """A name that no other process chooses."""
    return f"{prefix}-{uuid4().hex[:12]}"


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_symlink(link: Path, target: str) -> None:
    """Let `link` point to `target`, relative to its own folder; at no instant is there no link."""
    temporary = link.with_name(unique(f".{link.name}"))
    os.symlink(target, temporary)
    try:
        os.replace(temporary, link)
    except OSError:
        temporary.unlink()
        raise
    sync_directory(link.parent)


def remove_tree(path: Path) -> None:
    """Delete a folder; killed half way, it leaves only a `.removing-…` name that the next start sweeps."""
    doomed = path if path.name.startswith(".") else path.with_name(unique(f".removing-{path.name}"))
    if doomed != path:
        os.rename(path, doomed)
    # On NFS a file that another process still reads keeps the folder from going; the next start sweeps it.
    shutil.rmtree(doomed, ignore_errors=True)


def writing_error(path: Path, needed_bytes: int, problem: OSError) -> CheckpointError:
    """The message for a checkpoint that could not be written."""
    message = f"cannot write {path}: {problem.strerror or problem}; {needed_bytes:,} bytes are needed"
    with contextlib.suppress(OSError):  # Then the folder itself cannot be reached, and `problem` has said so.
        message += f", {shutil.disk_usage(path.parent).free:,} are free"
    if problem.errno in _NO_SPACE:
        fix = "free space or quota there, lower checkpoint.keep, or choose another run.directory"
    else:
        fix = "make the folder writable, or choose another run.directory"
    return CheckpointError(f"{message}", fix=f"all older checkpoints are whole; {fix}")
