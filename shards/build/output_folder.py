"""The output folder of a build: create it, lock it, and remove it again if nothing was written."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from shards.errors import ShardsError
from shards.file_lock import FileLock, LockedError
from shards.schema import WORK_FOLDER
from shards.wording import printable

# These concern the disk, and so every language.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class TargetError(ShardsError):
    """The folder of one language cannot be written, or holds something that a build must not replace."""


@contextlib.contextmanager
def folder_for(output: Path | str) -> Iterator[None]:
    """Create `output` with its work folder. On exit, remove the created folders that are empty. A URL needs none."""
    if isinstance(output, str):
        yield
        return
    made: list[Path] = []
    try:
        try:
            made += [folder for folder in (output / WORK_FOLDER, output, *output.parents) if not folder.exists()]
            (output / WORK_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ShardsError(
                f"{output} cannot be created: {error.strerror}", fix="choose another folder for the shards"
            ) from error
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty, or could not be created
                folder.rmdir()


@contextlib.contextmanager
def only_build(path: Path, output: str, language: str) -> Iterator[None]:
    """Hold the lock of this language. Other languages may be built at the same time."""
    # A concurrent build that wrote nothing may just have removed the empty folder.
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(wait=False)
    except LockedError as error:
        raise ShardsError(
            f"another build is writing {language} to {output}",
            fix="wait until it ends, or choose another folder for the shards",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def writing(language: str, output: Path | str) -> Iterator[None]:
    """Convert OSError into a ShardsError that names the file and says that finished shards are kept.

    Raises:
        TargetError: the error concerns this language alone.
        ShardsError: it concerns the whole disk.
    """
    try:
        yield
    except OSError as error:
        file = f" ({printable(str(error.filename))})" if error.filename else ""
        kind = ShardsError if error.errno in _OF_THE_DISK else TargetError
        raise kind(
            f"{language} cannot be written to {printable(str(output))}: {error.strerror or error}{file}",
            fix="fix that and run the same command again (finished shards are kept)",
        ) from error
