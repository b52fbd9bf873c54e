"""A recording in a byte range of a file that is not on this machine, such as a member of a tar on the Hub."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from shards.audio.containers.byte_source import ByteSource, MemorySource
from shards.sources.data_file import DataFile
from shards.sources.remote_part import RemotePart


@dataclass(frozen=True, slots=True)
class RemoteRange(RemotePart):
    """A recording that lies in a file as it is."""

    def stamp(self) -> bytes:
        """Return the URL, which has the revision in it, and the range."""
        return self.file.stamp() + f"|{self.start}|{self.size}".encode()

    def open(self) -> ByteSource:
        """Read the range.

        Raises:
            SourceError: it cannot be read now. The network may be back later, so it is not counted as damaged.
        """
        try:
            stream = _opened(self.file)
            stream.seek(self.start)
            return MemorySource(stream.read(self.size))
        except Exception as error:
            _opened.cache_clear()
            raise self.file.unreadable(error) from error

    def __str__(self) -> str:
        return f"{self.file} (bytes {self.start:,} to {self.start + self.size:,})"


@functools.lru_cache(maxsize=1)
def _opened(file: DataFile) -> Any:
    """Return the file that was read last, with what was read ahead: the next recording is usually in it."""
    return file.readable(whole=True)
