"""Where the bytes of a recording are."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from shards.audio.containers.byte_source import ByteSource, FileSource, RangeSource
from shards.errors import SourceError
from shards.wording import printable


class AudioReference(Protocol):
    """A recording that a source names. It is hashable, and small enough to be sent to a worker process.

    Equal references are one recording: its segments are cut from one decoding.
    """

    @property
    def neighbours(self) -> Neighbours | None:
        """Which other recordings are best read together with it; None if it is in a file of its own."""
        ...

    def check(self) -> AudioState:
        """Look at the recording without reading it."""
        ...

    def stamp(self) -> bytes:
        """Return bytes that change if the recording is replaced.

        Raises:
            SourceError: the recording cannot be read.
        """
        ...

    def open(self) -> ByteSource:
        """Open it for decoding.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def __str__(self) -> str: ...


class Neighbours(NamedTuple):
    """A block of recordings that are only read quickly in their order, such as a row group of a parquet file.

    `block`: a name that does not change when the corpus is moved. `position`: of the recording within it.
    """

    block: str
    position: int


@dataclass(frozen=True, slots=True)
class AudioState:
    """Whether a recording is there. `missing`: why it is not, empty if nothing is known, None if it is there."""

    missing: str | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A recording in a file of its own."""

    path: Path

    @property
    def neighbours(self) -> None:
        """Any order is as good."""
        return None

    def check(self) -> AudioState:
        """Look whether it is a regular file, and whether it is empty."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            link = f"it is a link to {printable(os.readlink(self.path))}" if os.path.islink(self.path) else ""
            return AudioState(missing=link)
        except (OSError, ValueError) as error:  # ValueError: not a valid file name
            return AudioState(missing=getattr(error, "strerror", None) or str(error))
        if stat.S_ISDIR(found.st_mode):
            return AudioState(missing="it is a folder")
        if not stat.S_ISREG(found.st_mode):
            return AudioState(missing="it is not a regular file")
        return AudioState(empty=not found.st_size)

    def stamp(self) -> bytes:
        """Return its path, size and modification time."""
        return file_stamp(self.path)

    def open(self) -> ByteSource:
        """Open the file."""
        return FileSource(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class FileRange:
    """A recording in a byte range of a file that holds several, such as a member of an uncompressed tar."""

    path: Path
    start: int
    size: int

    @property
    def neighbours(self) -> None:
        """Any order is as good."""
        return None

    def check(self) -> AudioState:
        """Look at the file, and whether the range is empty."""
        state = AudioFile(self.path).check()
        return state if state.missing is not None else AudioState(empty=not self.size)

    def stamp(self) -> bytes:
        """Return the file's path, size and modification time, and the range."""
        return file_stamp(self.path) + f"|{self.start}|{self.size}".encode()

    def open(self) -> ByteSource:
        """Open the range."""
        return RangeSource(FileSource(self.path), self.start, self.size)

    def __str__(self) -> str:
        return f"{self.path} (bytes {self.start:,} to {self.start + self.size:,})"


def file_stamp(path: Path) -> bytes:
    """Return a file's path, size and modification time.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise SourceError(f"recording {printable(str(path))} cannot be read: {error.strerror or error}") from error
    return os.fsencode(path.resolve()) + f"|{status.st_size}|{status.st_mtime_ns}".encode()
