"""A file that only grows by whole lines, each a JSON object.

A line is one `write` in append mode, so a killed process leaves at most one torn line, at the end. Readers skip it and
the next writer removes it. Numbers that JSON cannot hold are the strings "nan", "inf" and "-inf".
"""

import json
import math
import os
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from mms_dist.errors import TrainingError
from mms_dist.files import replacing

_NOT_FINITE = ("nan", "inf", "-inf")
_CHUNK_BYTES = 65_536
_FIX = "free disk space or fix the permissions, then run the same command to resume from the last checkpoints"


class JsonLines:
    """Appends to one file. Several threads may write."""

    def __init__(self, path: str | os.PathLike[str], *, is_whole: Callable[[bytes], bool]) -> None:
        """Open `path`, create it and its folder if they are missing, and remove a torn last line.

        Args:
            is_whole: whether a last line without a newline lacks only that.

        Raises:
            TrainingError: the file cannot be written.
        """
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._open()
            _remove_torn_line(self._descriptor, is_whole)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def append(self, record: dict[str, Any]) -> dict[str, Any]:
        """Append one line and return it as readers will see it.

        Raises:
            TrainingError: the disk is full, or the file is gone.
        """
        record = _plain(record)
        line = encode(record)
        with self._lock:
            try:
                written = os.write(self._descriptor, line)
            except OSError as error:
                raise _cannot_write(self.path, error) from error
            if written != len(line):  # a full disk takes only part of the line
                _remove_torn_line(self._descriptor, lambda _: False)
                raise _cannot_write(self.path, OSError("the disk is full"))
        return record

    def replace(self, records: Iterable[dict[str, Any]]) -> None:
        """Replace the content atomically: after a kill, the file has either the old lines or these.

        Raises:
            TrainingError: the file cannot be written; the old one is unchanged.
        """
        with self._lock:
            with replacing(self.path, fix=_FIX, error=TrainingError) as staged:
                staged.write_bytes(b"".join(map(encode, records)))
            os.close(self._descriptor)
            self._descriptor = self._open()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def parse(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a line; None if the line is something else."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def encode(record: dict[str, Any]) -> bytes:
    """Return the line of a record that JSON can hold."""
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()


def is_time(value: Any) -> bool:
    """Whether this is a moment as the monitor writes it: ISO 8601 with a time zone."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.tzinfo is not None and 1 < moment.year < 9999
    except (TypeError, ValueError):
        return False


def is_count(value: Any) -> bool:
    """Whether this is a whole number that a counter can reach."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_amount(value: Any) -> bool:
    """Whether this is a number in the range of anything measured here: not negative, below 1e15."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15


def is_amount_or_not_finite(value: Any) -> bool:
    """Whether this is such a number, or the string for a number that JSON cannot hold."""
    return (isinstance(value, str) and value in _NOT_FINITE) or is_amount(value)


def _remove_torn_line(descriptor: int, is_whole: Callable[[bytes], bool]) -> None:
    """Make the file end with a whole line: cut off a torn line, and complete a line that lacks only its newline."""
    size = os.fstat(descriptor).st_size
    tail = b""
    start = size
    while start > 0 and b"\n" not in tail:
        length = min(_CHUNK_BYTES, start)
        start -= length
        tail = os.pread(descriptor, length, start) + tail
    torn = tail.rpartition(b"\n")[2]
    if not torn:
        return
    if is_whole(torn):
        os.write(descriptor, b"\n")
    else:
        os.ftruncate(descriptor, size - len(torn))


def _plain(value: Any) -> Any:
    """Convert `value` to JSON types."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if value is None or isinstance(value, str | int | float):
        return value
    return _plain(value.item())  # a NumPy or torch scalar


def _cannot_write(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"cannot write {path}: {error.strerror or error}", fix=_FIX)
