"""Small files: read as text, written whole or not at all."""

import codecs
import contextlib
import errno
import os
import stat
from pathlib import Path
from uuid import uuid4

from mms_dist.errors import TrainingError
from shards.file_content import stand_in_of

MOST_TEXT_BYTES = 16 << 20
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: str | os.PathLike[str], *, pipes: bool = False) -> str:
    """What a text file says: UTF-8, or what its byte order mark tells.

    Args:
        pipes: take what comes through a pipe, too. Several readers, on several ranks, cannot share one.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a folder, a device or a pipe, far too long, or not text.
    """
    mode = os.stat(path).st_mode  # before it is opened, which would wait for a pipe's writer
    if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise ValueError(f"it is {kind}, and not a file")
    with open(path, "rb") as file:
        content = file.read(MOST_TEXT_BYTES + 1)
    if len(content) > MOST_TEXT_BYTES:
        raise ValueError(f"it has more than {MOST_TEXT_BYTES:,} bytes, which is no such text")
    if content and (instead := stand_in_of(content, os.path.dirname(path) or ".")):
        raise ValueError(f"it {instead}")
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"it is not UTF-8 text (byte {error.start}: {content[error.start]:#04x}); save it as UTF-8"
        ) from error


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or is something else, such as a pipe, whose writer would be waited for.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return path.read_bytes()


def replace_text(path: Path, text: str) -> None:
    """Write `path` so that a reader, a killed process or a full disk meets the old file or the new one.

    Raises:
        TrainingError: it cannot be written; the old file is as it was.
    """
    staged = path.with_name(f".staging-{uuid4().hex[:12]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(staged, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise TrainingError(
            f"cannot write {path}: {error.strerror or error}",
            fix="free space there, make the folder writable, or choose another run.directory",
        ) from error
