"""Write files so that a killed process or a full disk never leaves a partial file under its final name."""

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
    """A name that no other process uses."""
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
    """Wait until a directory's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_symlink(link: Path, target: str) -> None:
    """Atomically make `link` point to `target`, relative to its own folder."""
    temporary = link.with_name(unique(f".{link.name}"))
    os.symlink(target, temporary)
    try:
        os.replace(temporary, link)
    except OSError:
        temporary.unlink()
        raise
    sync_directory(link.parent)


def remove_tree(path: Path) -> None:
    """Delete a folder. If the process is killed meanwhile, only a `.removing-…` folder is left, which the next start
    removes."""
    doomed = path if path.name.startswith(".") else path.with_name(unique(f".removing-{path.name}"))
    if doomed != path:
        os.rename(path, doomed)
    # On NFS, the folder cannot be removed while another process reads a file in it; the next start removes it.
    shutil.rmtree(doomed, ignore_errors=True)


def writing_error(path: Path, needed_bytes: int, problem: OSError) -> CheckpointError:
    """The error for a checkpoint that could not be written."""
    found = f"cannot write {path}: {problem.strerror or problem} ({needed_bytes:,} bytes needed"
    with contextlib.suppress(OSError):  # fails if the folder cannot be reached, which `problem` then says
        found += f", {shutil.disk_usage(path.parent).free:,} free"
    if problem.errno in _NO_SPACE:
        fix = "free space or quota there, lower checkpoint.keep, or choose another run.directory"
    else:
        fix = "make the folder writable, or choose another run.directory"
    return CheckpointError(f"{found}), but all older checkpoints are complete", fix=fix)
