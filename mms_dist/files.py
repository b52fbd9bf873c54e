"""Read small files, and write so that a killed process or a full disk never leaves a partial file under its name."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from mms_dist.errors import DataError, MmsDistError, TrainingError
from shards.file_content import detect_placeholder_in


class UnreadableFileError(MmsDistError):
    """A text file cannot be read. `found` is about "it"; `fix` is None where that depends on what the file is for."""


MAX_TEXT_BYTES = 16 << 20
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: str | os.PathLike[str], *, pipes: bool = False) -> str:
    """Read a text file: UTF-8, or the encoding that its byte order mark names.

    Args:
        pipes: also read from a pipe. Readers on several ranks cannot share one.

    Raises:
        UnreadableFileError: there is no such file; it is a folder, a device or a pipe, is far too long, or is not text.
    """
    try:
        content = _content(path, pipes=pipes)
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from error
    except ValueError as error:  # a path with a null byte
        raise UnreadableFileError(str(error)) from error
    if len(content) > MAX_TEXT_BYTES:
        raise UnreadableFileError(f"it has more than {MAX_TEXT_BYTES:,} bytes, which is too long for this file")
    if content and (instead := detect_placeholder_in(content, os.path.dirname(path) or ".")):
        raise UnreadableFileError(f"it {instead.found}", instead.fix)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"it is not UTF-8 text (byte {error.start}: {content[error.start]:#04x})"
        raise UnreadableFileError(found, "save it as UTF-8") from error


def _content(path: str | os.PathLike[str], *, pipes: bool) -> bytes:
    mode = os.stat(path).st_mode  # checked first, because opening a pipe waits for its writer
    if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise UnreadableFileError(f"it is {kind}, not a file")
    with open(path, "rb") as file:
        return file.read(MAX_TEXT_BYTES + 1)


def read_file(path: Path) -> bytes:
    """Read a file's bytes.

    Raises:
        OSError: the file cannot be read, or is not a regular file (reading a pipe would wait for its writer).
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return path.read_bytes()


@contextlib.contextmanager
def replacing(
    path: Path,
    *,
    fix: str = "free space there, make the folder writable, or choose another place",
    error: type[MmsDistError] = DataError,
) -> Iterator[Path]:
    """Write `path` atomically: yield a name for the new file, which takes the place of `path` when the block ends.

    Args:
        fix: what the user can do if it cannot be written.
        error: the kind of error to raise then.

    Raises:
        DataError or `error`: for an `OSError`. After any error, the old file is unchanged, with nothing left beside it.
    """
    staged = path.with_name(f"{unique('.staging')}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield staged
        os.replace(staged, path)
    except OSError as problem:
        raise error(f"cannot write {path}: {problem.strerror or problem}", fix=fix) from problem
    finally:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)


def replace_text(
    path: Path,
    text: str,
    *,
    fix: str = "free space there, make the folder writable, or choose another run.directory",
    error: type[MmsDistError] = TrainingError,
) -> None:
    """Write a text file atomically; see `replacing`.

    Raises:
        TrainingError or `error`: the file cannot be written; the old one is unchanged.
    """
    with replacing(path, fix=fix, error=error) as staged, open(staged, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


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
