"""A recording in a zip archive that is not on this machine."""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass

from shards.audio.containers.byte_source import ByteSource, MemorySource
from shards.sources.data_file import DataFile
from shards.sources.remote_part import RemotePart


@dataclass(frozen=True, slots=True)
class RemoteMember(RemotePart):
    """A member of a zip archive."""

    member: str

    def stamp(self) -> bytes:
        """Return the URL, which has the revision in it, and the member."""
        return self.file.stamp() + f"|{self.member}".encode("utf-8", "surrogateescape")

    def open(self) -> ByteSource:
        """Read the member.

        Raises:
            OSError: it is damaged.
            SourceError: it cannot be read now. The network may be back later, so it is not counted as damaged.
        """
        try:
            return MemorySource(_opened(self.file).read(self.member))
        except zipfile.BadZipFile as error:
            raise OSError(f"{self} is damaged: {error}") from error
        except Exception as error:
            _opened.cache_clear()
            raise self.file.unreadable(error) from error

    def __str__(self) -> str:
        return f"{self.file}/{self.member}"


@functools.lru_cache(maxsize=1)
def _opened(file: DataFile) -> zipfile.ZipFile:
    """Return the archive that was read last, with what was read ahead: the next recording is usually in it."""
    return zipfile.ZipFile(file.readable(whole=True))
