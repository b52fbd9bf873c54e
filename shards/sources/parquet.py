"""Read parquet files with the recordings in them, as Hugging Face datasets have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shards.errors import SourceError
from shards.sources.data_file import DataFile
from shards.sources.data_folder import DataFolder, data_files, first_data_file
from shards.sources.example_reader import ExampleReader
from shards.sources.manifest_columns import Columns, choose_columns
from shards.sources.parquet_examples import ParquetExamples
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace

SUFFIXES = (".parquet",)


class Parquet:
    """A parquet file with recordings, or a folder of parquet files whose names say the splits."""

    name = "parquet"
    expected = "parquet files with recordings, such as data/train-00000-of-00002.parquet"
    row_noun = "rows"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether a parquet file in it has recordings or their paths, or it is a parquet file with recordings."""
        found = first_data_file(place.path, SUFFIXES)
        return found is not None and _holds_utterances(found, recordings=found == place.path)

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, file by file in the order of the names."""
        files = data_files(place.path, SUFFIXES, skip=options.skip)
        if not files:
            raise SourceError(f"no parquet file in {place}")
        folder = DataFolder(place.path, files, options.language)
        reader = ExampleReader(options.columns)
        for file in files:
            root = options.audio_root or Path(file.location).parent
            yield from reader.read(ParquetExamples(file), root, folder.defaults(file))


def _holds_utterances(path: Path, *, recordings: bool) -> bool:
    """Whether a parquet file has recordings in it, or at least the usual columns for their paths and texts."""
    try:
        file = ParquetExamples(DataFile(str(path), path.name))
    except SourceError:
        return False
    usual = choose_columns(file.header, {}, needs_language=False)
    return bool(file.audio_columns) or (not recordings and isinstance(usual, Columns))
