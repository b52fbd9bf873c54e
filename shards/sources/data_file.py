"""A data file of a dataset, on this machine or on the Hugging Face Hub."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.errors import Problem, SourceError, first_line
from shards.sources.audio_reference import file_stamp
from shards.wording import printable

# How much is read ahead of what is asked for: enough for few requests, and little of what lies between texts.
_LONG_BYTES = 8 << 20
_SHORT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file with many rows.

    `location`: its path, or a URL with the revision in it, so that its content never changes. `name`: its path within
    the dataset, which does not change when the dataset is moved.
    """

    location: str
    name: str

    @property
    def path(self) -> Path | None:
        """Its path, if it is on this machine."""
        return None if "://" in self.location else Path(self.location)

    def readable(self, *, whole: bool = False) -> Any:
        """Return what pyarrow reads it from: its path, or an open remote file.

        Args:
            whole: long parts will be read, and not only short ones here and there.

        Raises:
            OSError: it cannot be read.
        """
        if self.path is not None:
            return self.location
        import fsspec

        return fsspec.open(self.location, "rb", block_size=_LONG_BYTES if whole else _SHORT_BYTES).open()

    def stamp(self) -> bytes:
        """Return bytes that change if the file is replaced.

        Raises:
            SourceError: it cannot be read.
        """
        return os.fsencode(self.location) if self.path is None else file_stamp(self.path)

    def unreadable(self, error: Exception, place: str = "") -> SourceError:
        """Return the error for what pyarrow or a file system raised while reading it; they have no common base."""
        import pyarrow as pa

        found = first_line(error)
        if isinstance(error, pa.ArrowException):
            return SourceError(
                f"{self} is damaged, or in another format{place}: {found}", fix="copy or download it again"
            )
        if self.path is None:
            return SourceError(f"{self} cannot be read{place}: {found}", fix="run the same command again to go on")
        return SourceError(f"{self} cannot be read{place}: {getattr(error, 'strerror', None) or found}")

    def instead(self, placeholder: Problem) -> SourceError:
        """Return the error for a file that holds something else in place of its content."""
        return SourceError(f"{self} {placeholder.found}", fix=placeholder.fix)

    def __str__(self) -> str:
        return printable(self.location)
