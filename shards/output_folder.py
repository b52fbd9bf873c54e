"""The folder into which a build writes: made, locked, and left as it was where nothing came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from shards.errors import ShardsError
from shards.file_names import printable

# Everything of a build that is not shards; reading never looks here.
WORK_FOLDER = ".build"


@contextlib.contextmanager
def folder_for(output: Path) -> Iterator[None]:
    """`output` with its work folder; of those folders that had to be made, none is left empty."""
    made: list[Path] = []
    try:
        try:
            made += [folder for folder in (output / WORK_FOLDER, output, *output.parents) if not folder.exists()]
            (output / WORK_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ShardsError(
                f"{output} cannot be made: {error.strerror}", fix="choose another folder for the shards"
            ) from error
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty, or could not be made
                folder.rmdir()


@contextlib.contextmanager
def only_build(path: Path, output: Path, language: str) -> Iterator[None]:
    """The only build of this language; those of others may go on beside it."""
    # A build beside this one, in which nothing was left, may just have taken the empty folder away.
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ShardsError(
            f"another build is writing {language} to {output}",
            fix="wait for it, or choose another folder for the shards",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def writing(language: str, output: Path) -> Iterator[None]:
    """Turn what the system refuses into an error that names the file and says that finished work is kept."""
    try:
        yield
    except OSError as error:
        file = f" ({printable(str(error.filename))})" if error.filename else ""
        raise ShardsError(
            f"{language} cannot be written to {printable(str(output))}: {error.strerror or error}{file}",
            fix="fix that and run the same command again: finished shards are kept",
        ) from error
