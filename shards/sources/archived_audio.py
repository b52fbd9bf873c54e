"""Recordings in a compressed tar. They can only be read in their order, so a build copies them out of it first."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shards.audio.containers.byte_source import ByteSource, MemorySource
from shards.errors import SourceError
from shards.sources.audio_reference import AudioReference, AudioState, FileRange, file_stamp
from shards.sources.rows import Note, SourceRow
from shards.sources.source import Found
from shards.sources.tar_reader import TarReader
from shards.wording import printable

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class ArchivedAudio:
    """A recording in a tar, which may be compressed. `size` is None if the tar has no such member."""

    archive: Path
    member: str
    size: int | None

    @property
    def neighbours(self) -> None:
        """Any order is as good once it is copied."""
        return None

    def check(self) -> AudioState:
        """Say what the tar's headers say."""
        if self.size is None:
            return AudioState(missing=f"it is not in {printable(self.archive.name)}")
        return AudioState(empty=not self.size)

    def stamp(self) -> bytes:
        """Return the tar's path, size and modification time, and the member."""
        return file_stamp(self.archive) + f"|{self.member}".encode("utf-8", "surrogateescape")

    def open(self) -> ByteSource:
        """Read it by going through the tar. A build opens the copies of `copied_recordings` instead."""
        content = io.BytesIO()
        with TarReader(self.archive) as tar:
            for member in tar.members():
                if member.name == self.member:
                    tar.read(member, content)
                    return MemorySource(content.getvalue())
        raise FileNotFoundError(2, "no such member", self.member)

    def __str__(self) -> str:
        return f"{self.archive}/{self.member}"


def copied_recordings(references: Iterable[AudioReference], folder: Path) -> dict[AudioReference, AudioReference]:
    """Copy the recordings of compressed tars to one file a tar, in one pass over each; return where they are now.

    An earlier call's copies in the same folder are used if they are complete and the same are wanted. Recordings
    elsewhere are not in the result.

    Raises:
        SourceError: a tar cannot be read, lacks a recording, or there is no room for the copies.
    """
    wanted: dict[Path, set[ArchivedAudio]] = {}
    for reference in references:
        if isinstance(reference, ArchivedAudio):
            wanted.setdefault(reference.archive, set()).add(reference)
    places: dict[AudioReference, AudioReference] = {}
    for number, archive in enumerate(sorted(wanted)):
        copy = folder / f"recordings-{number}"
        ranges = _copy(archive, wanted[archive], copy)
        places |= {one: FileRange(copy, *ranges[one.member]) for one in wanted[archive]}
    return places


def _copy(archive: Path, wanted: Collection[ArchivedAudio], copy: Path) -> dict[str, tuple[int, int]]:
    """Copy members of a tar to one file; return the start and size of each."""
    listing = copy.with_suffix(".json")
    stamp = file_stamp(archive).hex()
    try:
        done = json.loads(listing.read_bytes())
        if done["archive"] == stamp and done["ranges"].keys() >= {one.member for one in wanted}:
            return {member: (start, size) for member, (start, size) in done["ranges"].items()}
    except FileNotFoundError:
        pass
    copy.parent.mkdir(parents=True, exist_ok=True)
    needed = sum(one.size or 0 for one in wanted)
    free = shutil.disk_usage(copy.parent).free
    if needed > free:
        raise SourceError(
            f"the recordings of {printable(str(archive))} need {_mib(needed)} below {copy.parent}, which has "
            f"{_mib(free)} left",
            fix="make room, or unpack the archive elsewhere and name its folder",
        )
    left = {one.member for one in wanted}
    ranges: dict[str, tuple[int, int]] = {}
    with TarReader(archive) as tar, open(copy, "wb") as target:
        for member in tar.members():
            if member.name in left:
                ranges[member.name] = target.tell(), member.size
                tar.read(member, target)
                left.remove(member.name)
            if not left:
                break
        target.flush()
        os.fsync(target.fileno())
    if left:
        raise SourceError(f"archive {printable(str(archive))} no longer has {printable(min(left))}")
    listing.write_text(json.dumps({"archive": stamp, "ranges": ranges}))
    return ranges


def with_copies_noted(found: Iterable[Found]) -> Iterator[Found]:
    """Yield what is found in a corpus, and at its end how much of it a build copies out of compressed tars."""
    needed: dict[str, int] = {}
    for item in found:
        if isinstance(item, SourceRow) and isinstance(item.audio, ArchivedAudio):
            needed[item.language] = needed.get(item.language, 0) + (item.audio.size or 0)
        yield item
    if needed:
        largest = max(needed, key=lambda language: needed[language])
        yield Note(
            "the recordings are in compressed tars: a build copies those of one language at a time to SHARDS/.build, "
            f"at most {_mib(needed[largest])} (of {largest})"
        )


def _mib(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{-(-size // (1 << 20)):,} MiB"
