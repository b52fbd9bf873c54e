"""Read the folders that `save_to_disk` of Hugging Face's `datasets` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shards.errors import SourceError
from shards.sources.arrow_examples import ArrowExamples
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Defaults, ExampleReader
from shards.sources.folder_names import Folders
from shards.sources.part_names import PartNames
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.wording import printable

_SPLITS = "dataset_dict.json"
_STATE = "state.json"
_ABOUT = "dataset_info.json"


class SavedDataset:
    """A folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""

    name = "save_to_disk"
    expected = "a folder written by save_to_disk of Hugging Face's datasets"
    row_noun = "rows"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it has dataset_dict.json, or state.json with dataset_info.json."""
        return any(all(os.path.isfile(place.path / name) for name in names) for names in ((_SPLITS,), (_STATE, _ABOUT)))

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, split by split and file by file."""
        if os.path.isfile(place.path / _SPLITS):
            parts: dict[Folders, Path] = {(name,): place.path / name for name in _json(place.path / _SPLITS, "splits")}
        else:
            parts = {(): place.path}
        names = PartNames(place.path, parts)
        language = options.language or names.language(())
        reader = ExampleReader(options.columns)
        for part, folder in parts.items():
            defaults = Defaults(language, names.split(part))
            for file in _json(folder / _STATE, "_data_files"):
                name = file["filename"]
                data = DataFile(str(folder / name), "/".join((*part, name)))
                yield from reader.read(ArrowExamples(data), options.audio_root or folder, defaults)


def _json(path: Path, key: str) -> list[Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)[key]
        if isinstance(found, list):
            return found
    except OSError as error:
        raise SourceError(f"{printable(str(path))} cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{printable(str(path))} is damaged: no list {key!r}", fix="save the dataset again"
        ) from error
    raise SourceError(f"{printable(str(path))} is damaged: {key!r} is not a list", fix="save the dataset again")
