"""Read tables on the Hugging Face Hub that name recordings in other files, such as `train.csv` beside `clips/`."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from shards.errors import SourceError
from shards.file_content import ARCHIVES
from shards.sources.audio_reference import AudioFile, AudioReference
from shards.sources.folder_files import is_hidden
from shards.sources.hub_dataset import fetched, hub_errors
from shards.sources.part_names import PartNames
from shards.sources.remote_audio import RemoteAudio
from shards.sources.row_reader import RowReader
from shards.sources.rows import Note, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import HubName
from shards.sources.table_rows import SUFFIXES, has_utterances, read_table

_ARCHIVE_ENDINGS = (".tar", *(ending for archive in ARCHIVES for ending in archive.endings))


def read_hub_tables(name: HubName, base: str, folder: str | None, options: SourceOptions) -> Iterator[Found]:
    """Yield the utterances of all tables of a dataset that have columns for recordings and texts.

    Args:
        base: the URL of the dataset, with its revision.
        folder: the only folder to read; None: all.

    Raises:
        SourceError: there is no such table, or none of its recordings is a file of the dataset.
    """
    files = _files(name, base.rpartition("@")[2])
    start = f"{folder}/" if folder else ""
    tables = [
        path
        for path in sorted(files)
        if path.startswith(start) and path.lower().endswith(SUFFIXES) and not any(map(is_hidden, path.split("/")))
    ]
    root = fetched(name, base.rpartition("@")[2], tables)
    used = {path: _part(path, start) for path in tables if has_utterances(root / path, options.columns)}
    if not used:
        raise SourceError(
            f"{name.repository} has no parquet files with recordings, WebDataset, audiofolder or table of recordings "
            "and texts, which are the formats read from the Hub",
            fix=f"use its parquet files: {name.repository}@refs/convert/parquet; or download it and build from the "
            f"folder: hf download {name.repository} --repo-type dataset --local-dir FOLDER",
        )
    names = PartNames(root / start, used.values())
    several = len({names.split(part) for part in used.values()}) > 1  # one that is alone is no split
    recordings = _Recordings(name, base, root, files)
    noted: set[str] = set()
    for path, part in used.items():
        reader = RowReader((root / path).parent, options.language or names.language(part[:-1]), options.columns)
        for found in read_table(root / path, reader, path):
            if isinstance(found, SourceRow):
                audio, member = recordings.find(found.audio)
                source = found.source or f"{base}/{member}"
                split = found.split or (names.split(part) if several else None)
                yield replace(found, audio=audio, name=member, source=source, split=split)
            elif not isinstance(found, Note) or found.text not in noted:
                if isinstance(found, Note):
                    noted.add(found.text)
                yield found
    recordings.check_found()


class _Recordings:
    """The recordings that tables name, as paths from the table's folder or from that of the dataset."""

    def __init__(self, name: HubName, base: str, root: Path, files: Collection[str]) -> None:
        self._name = name
        self._base = base
        self._root = root
        self._files = {_composed(path): path for path in files}
        self._found = 0
        self._missing = ""

    def find(self, audio: AudioReference) -> tuple[AudioReference, str]:
        """Return a recording and its path; what is not in the dataset stays a file that is missing."""
        assert isinstance(audio, AudioFile)
        path = PurePosixPath(audio.path.relative_to(self._root).as_posix())
        for start in range(len(path.parts)):
            shorter = self._files.get(_composed("/".join(path.parts[start:])))
            if shorter is not None:
                self._found += 1
                return RemoteAudio(f"{self._base}/{shorter}"), shorter
        self._missing = self._missing or str(path)
        return audio, str(path)

    def check_found(self) -> None:
        """Raise a `SourceError` if no recording was found and the dataset has archives, which may hold them."""
        archive = next((path for path in self._files.values() if path.lower().endswith(_ARCHIVE_ENDINGS)), None)
        if not self._found and archive is not None:
            raise SourceError(
                f"the recordings that the tables of {self._name.repository} name, such as {self._missing}, are not "
                f"files of it, but it has archives, such as {archive}",
                fix=f"download it: hf download {self._name.repository} --repo-type dataset --local-dir FOLDER; unpack "
                "the archives where the tables say, and build from a table or from FOLDER",
            )


def _files(name: HubName, revision: str) -> frozenset[str]:
    import huggingface_hub

    with hub_errors(name):
        hub = huggingface_hub.HfApi()
        return frozenset(hub.list_repo_files(name.repository, revision=revision, repo_type="dataset"))


def _part(path: str, start: str) -> tuple[str, ...]:
    return tuple(path.removeprefix(start).split("/"))


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)
