"""Read datasets of the Hugging Face Hub where they are: nothing is downloaded but what is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shards.errors import SourceError
from shards.languages import language_codes
from shards.sources.audiofolder import METADATA_NAMES
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Defaults, ExampleReader
from shards.sources.hub_audiofolder import hub_metadata, read_hub_audiofolder
from shards.sources.hub_dataset import (
    HubConfiguration,
    choose_configurations,
    choose_splits,
    load_builder,
    load_configurations,
)
from shards.sources.hub_tables import read_hub_tables
from shards.sources.hub_zip import read_hub_zip
from shards.sources.parquet_examples import ParquetExamples
from shards.sources.part_names import language_of_folders
from shards.sources.rows import LeftOut, Note
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import HubName, SourcePlace
from shards.sources.webdataset_examples import WebDatasetExamples

# Files that hold many recordings each, with their texts.
_FILES_WITH_ROWS = (".parquet", ".tar", ".zip")


class Hub:
    """A dataset on the Hugging Face Hub, `owner/name`, with a configuration and a revision if they matter.

    Texts are read first, and recordings when they are decoded. The revision is fixed at the beginning; it is part of
    every sample's `source`.
    """

    name = "hub"
    expected = "a dataset on the Hugging Face Hub (owner/name, owner/name:configuration@revision)"
    row_noun = "rows"
    uses = frozenset({"columns", "split_from"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it has the form of such a name, and is not on this machine."""
        return place.hub_name is not None

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, configuration by configuration and split by split."""
        name = place.hub_name
        if name is None:
            raise SourceError(f"{place} is not the name of a dataset on the Hugging Face Hub, expected owner/name")
        wanted = [options.language] if options.language else options.wanted
        chosen = choose_configurations(name, load_configurations(name), wanted)
        reader = ExampleReader(options.columns)
        for number, configuration in enumerate(chosen):
            builder = load_builder(name, configuration.name)
            if not number:
                yield Note(f"{name.repository}: read at revision {_revision(builder)}")
            yield from _Configuration(name, configuration, builder, options, wanted).read(reader)


class _Configuration:
    """One configuration of a dataset, as `datasets` describes it."""

    def __init__(
        self,
        name: HubName,
        configuration: HubConfiguration,
        builder: Any,
        options: SourceOptions,
        wanted: Sequence[str],
    ) -> None:
        self._name = name
        self._builder = builder
        self._options = options
        self._wanted = wanted
        # See `choose_configurations`: it may be a folder.
        self._folder = name.configuration if name.configuration != configuration.name else None
        codes = language_codes(self._folder) if self._folder else configuration.languages
        own = [code for code in codes if code in wanted] or codes
        self._language = options.language or (own[0] if len(own) == 1 else None)

    def read(self, reader: ExampleReader) -> Iterator[Found]:
        """Yield the utterances, split by split."""
        splits = self._files()
        files = [path for paths in splits.values() for path in paths]
        first = next(filter(_has_rows, files), None)
        if first is None or self._names_recordings(first):
            yield from self._read_loose(files)
            return
        chosen = choose_splits(self._name, list(splits), self._options.split_from)
        if chosen.left:
            yield Note(
                f"{self._name.repository}: not read, because they are neither train, dev nor test: "
                f"{', '.join(chosen.left)} (--split-from NAME reads one of them)"
            )
        for split, ours in chosen.read.items():
            for path in filter(_has_rows, splits[split]):
                named = language_of_folders(tuple(path.split("/")[:-1]))
                if self._folder is None and self._wanted and named is not None and named not in self._wanted:
                    continue
                file = self._data_file(path)
                yield from self._read_file(reader, file, Defaults(self._language or named, ours, source=file.location))

    def _read_file(self, reader: ExampleReader, file: DataFile, defaults: Defaults) -> Iterator[Found]:
        """Yield the utterances of a file that holds recordings."""
        # Rows without bytes have paths on the machine where the dataset was made: these recordings are missing.
        root = Path(self._name.repository)
        kind = file.name.lower().rpartition(".")[2]
        if kind == "parquet":
            yield from reader.read(ParquetExamples(file), root, defaults)
        elif kind == "tar":
            tar = WebDatasetExamples(file)
            yield from reader.read(tar, root, defaults)
            yield from (LeftOut(drop, defaults.language) for drop in tar.left_out)
        elif kind == "zip":
            yield from read_hub_zip(file, self._options, defaults)

    def _names_recordings(self, path: str) -> bool:
        """Whether a file has the paths of recordings in place of recordings."""
        return path.lower().endswith(".parquet") and not ParquetExamples(self._data_file(path)).audio_columns

    def _data_file(self, path: str) -> DataFile:
        return DataFile(f"{self._builder.base_path}/{path}", f"{self._name.repository}/{path}")

    def _read_loose(self, files: list[str]) -> Iterator[Found]:
        """Yield the utterances of a dataset with recordings in files of their own."""
        if self._options.split_from is not None:
            raise SourceError(
                f"--split-from {self._options.split_from}: the recordings of {self._name.repository} are files of "
                "their own, whose tables say the splits",
                fix="leave it out, or build from a table of the downloaded dataset",
            )
        options = replace(self._options, language=self._language)
        base = self._builder.base_path
        metadata = hub_metadata(self._name, base, files)
        if metadata is not None:
            yield from read_hub_audiofolder(metadata, base, files, options)
        else:
            yield from read_hub_tables(self._name, base, self._folder, options)

    def _files(self) -> dict[str, list[str]]:
        """Return the paths of the data files within the dataset, by split."""
        start = f"{self._folder}/" if self._folder else ""
        found = {
            str(split): [path for url in urls if (path := self._within(str(url))).startswith(start)]
            for split, urls in (self._builder.config.data_files or {}).items()
        }
        found = {split: paths for split, paths in found.items() if paths}
        if not found:
            of = f"configuration or folder {self._folder!r}" if self._folder else "data file"
            raise SourceError(f"{self._name.repository} has no {of} at revision {_revision(self._builder)}")
        return found

    def _within(self, url: str) -> str:
        """Return the path of a file within the dataset."""
        return url.removeprefix(f"{self._builder.base_path}/")


def _has_rows(path: str) -> bool:
    return path.lower().endswith(_FILES_WITH_ROWS) and path.rpartition("/")[2] not in METADATA_NAMES


def _revision(builder: Any) -> str:
    return str(builder.base_path).rpartition("@")[2].partition("/")[0]
