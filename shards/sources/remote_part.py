"""A part of a file that is not on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from shards.sources.audio_reference import AudioState, Neighbours
from shards.sources.data_file import DataFile


@dataclass(frozen=True, slots=True)
class RemotePart:
    """What begins at byte `start` of a file. `size`: its bytes, unpacked if it is packed."""

    file: DataFile
    start: int
    size: int

    @property
    def neighbours(self) -> Neighbours:
        """In their order, several are read with one request."""
        return Neighbours(self.file.name, self.start)

    def check(self) -> AudioState:
        """Say whether it is empty: whoever made the reference has seen the file."""
        return AudioState(empty=not self.size)
