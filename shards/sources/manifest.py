"""Read manifests: tables with an utterance per row, as delimited text, as JSON lines or as parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator

from shards.sources.row_reader import RowReader
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.table_rows import SUFFIXES, read_table


class Manifest:
    """A table of utterances: delimited text with a header, JSON objects, one per line, or parquet."""

    name = "manifest"
    expected = "a manifest with a name ending in .tsv, .csv, .jsonl or .parquet"
    row_noun = "lines"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether the name ends as those of tables do."""
        return place.path.suffix.lower() in SUFFIXES and not os.path.isdir(place.path)

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines."""
        root = options.audio_root or place.path.parent
        yield from read_table(place.path, RowReader(root, options.language, options.columns))
