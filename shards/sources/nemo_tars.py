"""Find recordings in the numbered tars of a NeMo dataset, which lie beside its manifest.

They are made by scripts/speech_recognition/convert_to_tarred_audio_dataset.py of https://github.com/NVIDIA/NeMo.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from shards.errors import SourceError
from shards.sources.archived_audio import ArchivedAudio
from shards.sources.audio_reference import AudioReference, FileRange
from shards.sources.rows import RowError
from shards.sources.tar_reader import TarReader, is_compressed
from shards.wording import printable

# audio_0.tar, audio_12.tar.gz
_NUMBERED = re.compile(r".*?(\d+)\.(tar|tar\.gz|tgz)")
# A later segment of a recording is named after it, and the recording is in the tar once.
_SEGMENT = re.compile(r"-sub\d+$")


class NemoTars:
    """The tars of a manifest, by their numbers.

    Args:
        folder: the manifest's. Manifests of single tars are in a folder beside the tars.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Rows of one tar usually follow one another.
        self._members = functools.lru_cache(maxsize=4)(_members)

    @functools.cached_property
    def _tars(self) -> dict[int, Path]:
        for folder in (self._folder, self._folder.absolute().parent):
            names = sorted(os.listdir(folder))
            found = {int(match[1]): folder / name for name in names if (match := _NUMBERED.fullmatch(name))}
            if found:
                return found
        raise SourceError(
            f"no tars beside the manifests in {printable(str(self._folder))}, which have numbers (shard_id)",
            fix="move audio_0.tar, audio_1.tar … there",
        )

    def find(self, member: str, number: object, where: str) -> AudioReference:
        """Return the recording of a row: the member of a tar.

        Raises:
            RowError: the tar, or the member, is not there.
            SourceError: there are no tars, or one is damaged.
        """
        tar = self._tars.get(number) if isinstance(number, int) else None
        if tar is None:
            raise RowError(where, "row_value", f"there is no tar with the number {number!r} (shard_id)")
        members = self._members(tar)
        stem = _stem(member)
        found = members.get(stem) or members.get(_SEGMENT.sub("", stem))
        if found is None:
            raise RowError(where, "row_value", f"{member!r} is not in {printable(tar.name)}")
        name, start, size = found
        return ArchivedAudio(tar, name, size) if is_compressed(tar) else FileRange(tar, start, size)


def _members(tar: Path) -> dict[str, tuple[str, int, int]]:
    """Return name, start and size of the members of a tar, by the stems of their names: NeMo may change the format."""
    with TarReader(tar) as reader:
        return {_stem(one.name): (one.name, one.offset_data, one.size) for one in reader.members()}


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
