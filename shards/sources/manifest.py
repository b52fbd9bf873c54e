"""Read manifests: tables with an utterance per row, as delimited text, as JSON or as parquet, and folders of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from shards.audio.extensions import ALL_EXTENSIONS
from shards.errors import ShardsError, SourceError
from shards.sources.folder_files import extension_of, is_hidden
from shards.sources.part_names import PartNames
from shards.sources.row_reader import RowReader
from shards.sources.rows import Note, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.table_rows import SUFFIXES, has_utterances, read_table
from shards.wording import printable

# A folder of a million recordings is not listed to see whether it has a table.
LOOKED_AT = 10_000


class Manifest:
    """A table of utterances: delimited text with a header, JSON objects, or parquet; or a folder with such tables.

    In a folder, the names of the tables say the splits. They are in the folder itself, or else in folders in it, which
    may be named after languages.
    """

    name = "manifest"
    expected = "a manifest with a name ending in .tsv, .csv, .jsonl, .json or .parquet, or a folder with such manifests"
    row_noun = "lines"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether the name ends as those of tables do, or a folder has a table with the paths of files that exist.

        A folder of recordings with transcripts beside them is not one, whatever tables it has.
        """
        if os.path.isdir(place.path):
            top, below = _tables(place.path, most=LOOKED_AT)
            return any(map(_names_recordings, [*top, *below])) and not _has_transcripts(place.path)
        suffix = place.path.suffix.lower()
        return suffix in SUFFIXES and (suffix != ".json" or has_utterances(place.path, None))

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines, table by table."""
        if os.path.isdir(place.path):
            yield from _read_folder(place.path, options)
            return
        root = options.audio_root or place.path.parent
        yield from read_table(place.path, RowReader(root, options.language, options.columns))


def _read_folder(root: Path, options: SourceOptions) -> Iterator[Found]:
    top, below = _tables(root)
    readable = [path for path in top if has_utterances(path, options.columns)]
    tables = top if readable else [*top, *below]
    readable = readable or [path for path in below if has_utterances(path, options.columns)]
    used = {path: path.relative_to(root).parts for path in readable}
    if not used:
        raise SourceError(f"no table in {printable(str(root))} has columns for recordings and texts")
    if others := [path.name for path in tables if path not in used]:
        yield Note(f"not read, since they have no columns for recordings and texts: {printable(', '.join(others))}")
    names = PartNames(root, used.values())
    noted: set[str] = set()
    for path, part in used.items():
        language = options.language or names.language(part[:-1])
        reader = RowReader(options.audio_root or path.parent, language, options.columns)
        for found in read_table(path, reader, "/".join(part)):
            if isinstance(found, SourceRow):
                yield replace(found, name="/".join((*part[:-1], found.name)), split=found.split or names.split(part))
            elif not isinstance(found, Note) or found.text not in noted:
                if isinstance(found, Note):
                    noted.add(found.text)
                yield found


def _tables(root: Path, *, most: int | None = None) -> tuple[list[Path], list[Path]]:
    """Return the tables in a folder, and those in the folders in it, sorted. Those in parquet are another source's.

    Args:
        most: files that are looked at in each folder, since it can hold recordings too; None: all.
    """
    names, folders = _listed(root, most)
    below = [root / folder / name for folder in folders for name in _listed(root / folder, most)[0]]
    return [root / name for name in names], below


def _listed(folder: Path, most: int | None) -> tuple[list[str], list[str]]:
    """Return the names of the tables and of the folders in a folder."""
    tables, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in itertools.islice(entries, most):
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(SUFFIXES) and not entry.name.lower().endswith(".parquet"):
                    tables.append(entry.name)
    except OSError:  # it is reported when it is read
        return [], []
    return sorted(tables), sorted(folders)


def _has_transcripts(root: Path) -> bool:
    """Whether there is a recording with a transcript `<name>.txt` beside it, among the first files at any depth."""
    left = LOOKED_AT
    for _, _, names in os.walk(root):
        present = frozenset(names)
        for name in names[:left]:
            if extension_of(name) in ALL_EXTENSIONS and f"{name.rpartition('.')[0]}.txt" in present:
                return True
        left -= len(names)
        if left <= 0:
            return False
    return False


def _names_recordings(path: Path) -> bool:
    """Whether a table has usual columns, and its first row the path of a file."""
    if not has_utterances(path, None):
        return False
    try:
        rows = read_table(path, RowReader(path.parent, "und"))
        first = next((found for found in rows if isinstance(found, SourceRow)), None)
    except ShardsError:
        return False
    return first is not None and first.audio.check().missing is None
