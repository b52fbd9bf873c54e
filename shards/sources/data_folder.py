"""Find the data files of a dataset in a folder, and what their names say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from shards.schema import INDEX_NAME, TABLE_NAME
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Defaults
from shards.sources.part_names import PartNames

_LEVELS = 5
# Enough to see what a folder is; a folder of a million recordings is not listed for it.
_LOOKED_AT = 10_000
# A folder of a partitioned dataset, as Hive names it: language=ron_Latn.
_PARTITION = re.compile(r"([A-Za-z_]+)=(.+)")


def data_files(root: Path, suffixes: tuple[str, ...], *, skip: Path | None = None) -> list[DataFile]:
    """Return the data files in a folder at any depth, sorted; or the file itself."""
    if not os.path.isdir(root):
        return [DataFile(str(root), root.name)] if root.name.lower().endswith(suffixes) else []
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(folder, name) != skip)
        found += [path for name in names if _is_data(path := Path(folder, name), suffixes)]
    found.sort(key=lambda path: path.parts)
    return [DataFile(str(path), path.relative_to(root).as_posix()) for path in found]


def first_data_file(root: Path, suffixes: tuple[str, ...]) -> Path | None:
    """Return one of the data files in a folder, or the file itself; None if a look finds none."""
    if not os.path.isdir(root):
        return root if root.name.lower().endswith(suffixes) and os.path.isfile(root) else None
    return next((path for path in _looked_at(root) if _is_data(path, suffixes)), None)


def _is_data(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether it is a data file, and neither hidden nor the table of shards that were built into the folder."""
    if not path.name.lower().endswith(suffixes) or path.name.startswith("."):
        return False
    return path.name != TABLE_NAME or not path.with_name(INDEX_NAME).exists()


def _looked_at(root: Path) -> Iterator[Path]:
    """Yield files of a folder, those at the top first."""
    level, seen = [root], 0
    for _ in range(_LEVELS):
        below: list[Path] = []
        for folder in level:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        seen += 1
                        if seen > _LOOKED_AT:
                            return
                        if not entry.is_dir():
                            yield Path(entry.path)
                        elif not entry.name.startswith("."):
                            below.append(Path(entry.path))
            except OSError:  # it is reported when it is read
                continue
        level = sorted(below)


class DataFolder:
    """The languages, splits and tags that the names of data files and of their folders say.

    Args:
        root: the dataset.
        files: its data files, by their paths within it.
        language: of all files, if the user named it.

    Raises:
        SourceError: the names say several splits, or none for some of the files.
    """

    def __init__(self, root: Path, files: Sequence[DataFile], language: str | None) -> None:
        self._language = language
        parts = {file: tuple(file.name.split("/")) if os.path.isdir(root) else () for file in files}
        above = partitions(root.absolute().parts)
        self._partitions = {file: above | partitions(part[:-1]) for file, part in parts.items()}
        self._plain = {
            file: tuple(name for name in part if not _PARTITION.fullmatch(name)) for file, part in parts.items()
        }
        self._names = PartNames(root, [self._plain[file] for file in files if "split" not in self._partitions[file]])

    def defaults(self, file: DataFile) -> Defaults:
        """Return what is known of all rows of a file."""
        named = self._partitions[file]
        language = named.get("language") or named.get("lang") or self._names.language(self._plain[file][:-1])
        split = named["split"] if "split" in named else self._names.split(self._plain[file])
        tags = {key: value for key, value in named.items() if key in ("corpus",)}
        return Defaults(self._language or language, split, tags)


def partitions(folders: Sequence[str]) -> dict[str, str]:
    """Return what folders say that are named as partitions, by key: `{"language": "ron_Latn"}`."""
    return {match[1].lower(): match[2] for name in folders if (match := _PARTITION.fullmatch(name))}
