"""A recording in a file of its own that is not on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from shards.audio.containers.byte_source import ByteSource, MemorySource
from shards.sources.audio_reference import AudioState
from shards.sources.data_file import DataFile


@dataclass(frozen=True, slots=True)
class RemoteAudio:
    """A recording at a URL that fsspec opens, with the revision in it, so that its content never changes."""

    url: str

    @property
    def neighbours(self) -> None:
        """Any order is as good."""
        return None

    def check(self) -> AudioState:
        """Say nothing: whoever made the reference has seen the file in a listing."""
        return AudioState()

    def stamp(self) -> bytes:
        """Return the URL."""
        return self.url.encode()

    def open(self) -> ByteSource:
        """Read the file.

        Raises:
            SourceError: it cannot be read now. The network may be back later, so it is not counted as damaged.
        """
        file = DataFile(self.url, self.url)
        try:
            with file.readable(whole=True) as stream:
                return MemorySource(stream.read())
        except Exception as error:
            raise file.unreadable(error) from error

    def __str__(self) -> str:
        return self.url
