"""Read audiofolders of Hugging Face: recordings, and `metadata.csv`, `.jsonl` or `.parquet` with their names.

Their layout: https://huggingface.co/docs/datasets/audio_dataset
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from shards.errors import Problem, ShardsError, SourceError
from shards.sources.data_file import DataFile
from shards.sources.delimited_table import DelimitedTable
from shards.sources.folder_names import EVALUATION, Folders, splits_named
from shards.sources.json_lines import json_lines
from shards.sources.manifest_columns import choose_columns
from shards.sources.parquet_table import ParquetTable
from shards.sources.part_names import PartNames
from shards.sources.row_reader import RowReader
from shards.sources.rows import Note, RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.table_rows import read_table
from shards.sources.text_lines import TextLines

METADATA_NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_COLUMN = "file_name"
_DEPTH = 3


class Audiofolder:
    """A folder of recordings with their texts in `metadata.csv`, which names them in the column `file_name`.

    In `metadata.csv`, columns may have other usual names, as in Coqui's `audio_file|text|speaker_name`.
    """

    name = "audiofolder"
    expected = "a folder of recordings with metadata.csv, .jsonl or .parquet (file_name and a text)"
    row_noun = "lines"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether metadata in it has the column `file_name`, or `metadata.csv` usual ones for recordings and texts."""
        return any(map(_is_of_recordings, _metadata(place.path)))

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines, folder by folder."""
        tables = sorted(_metadata(place.path), key=lambda path: path.parts)
        if not tables:
            raise SourceError(f"no metadata.csv, .jsonl or .parquet in {place}")
        parts = {path: path.parent.relative_to(place.path).parts for path in tables}
        names = PartNames(place.path, parts.values())
        noted: set[str] = set()
        for path, part in parts.items():
            language = options.language or names.language(part)
            named = {} if _has_usual_names(path) else {"audio": _COLUMN}
            reader = RowReader(options.audio_root or path.parent, language, {**named, **(options.columns or {})})
            folders = _SplitFolders(path.parent, names.split(part))
            for found in read_table(path, reader, "/".join((*part, path.name))):
                if isinstance(found, SourceRow):
                    # Folders may have recordings of the same name.
                    name = "/".join((*part, found.name))
                    yield replace(found, name=name, split=found.split or folders.split(found.name))
                elif not isinstance(found, Note) or found.text not in noted:
                    if isinstance(found, Note):
                        noted.add(found.text)
                    yield found


class _SplitFolders:
    """The splits of recordings by the folders in their names, below the folder of the metadata.

    Args:
        split: that of all of them, if the metadata is in a folder that is named as a split.
    """

    def __init__(self, folder: Path, split: str | None) -> None:
        self._split = split
        names = os.listdir(folder) if os.path.isdir(folder) else []
        self._evaluation = "test" if any("dev" in splits_named(name) for name in names) else "dev"
        self._known: dict[Folders, str | None] = {}

    def split(self, name: str) -> str | None:
        """Return the split of a recording; None if no folder, or more than one, is named as a split."""
        folders = PurePosixPath(name).parts[:-1]
        if self._split or not folders:
            return self._split
        if folders not in self._known:
            found = {split for folder in folders for split in splits_named(folder)}
            split = found.pop() if len(found) == 1 else None
            self._known[folders] = self._evaluation if split == EVALUATION else split
        return self._known[folders]


def _metadata(root: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Yield the metadata of a folder, or else those of the folders in it."""
    if not os.path.isdir(root):
        return
    found = [root / name for name in METADATA_NAMES if os.path.isfile(root / name)]
    yield from found[:1]
    if found or not depth:
        return
    try:
        with os.scandir(root) as entries:
            inner = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:  # it is reported when it is read
        return
    for name in inner:
        yield from _metadata(root / name, depth - 1)


def _is_of_recordings(path: Path) -> bool:
    return _has_file_names(path) or _has_usual_names(path)


def _has_usual_names(path: Path) -> bool:
    """Whether a table without `file_name` has columns for recordings and texts by names that a manifest may have."""
    try:
        header = DelimitedTable(TextLines(path), {}).header if path.suffix == ".csv" else []
    except ShardsError:
        return False
    return _COLUMN not in header and not isinstance(choose_columns(header, {}, needs_language=False), Problem)


def _has_file_names(path: Path) -> bool:
    try:
        if path.suffix == ".parquet":
            return _COLUMN in ParquetTable(DataFile(str(path), path.name)).header
        lines = TextLines(path)
        if path.suffix == ".jsonl":
            fields = next((fields for _, fields in json_lines(lines)), {})
            return not isinstance(fields, RowError) and _COLUMN in fields
        return _COLUMN in DelimitedTable(lines, {}).header
    except ShardsError:
        return False
