"""Read a folder that `mms-dist shards align` wrote: a manifest of utterances for each recording."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from shards.errors import SourceError
from shards.sources.row_reader import RowReader
from shards.sources.rows import Note, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.table_rows import read_table
from shards.wording import counted

MARKER = "aligned.json"
"""A file that names the folder as one of this kind."""
ENDING = ".aligned.jsonl"


class Aligned:
    """Manifests of recordings that were aligned with their texts, at any depth; each path starts from its manifest."""

    name = "aligned"
    expected = f"a folder of shards align, with {MARKER}"
    row_noun = "lines"
    uses = frozenset[str]()

    def recognises(self, place: SourcePlace) -> bool:
        """Whether the folder has the marker."""
        return os.path.isfile(os.path.join(place.path, MARKER))

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, by the names of the manifests. Those of recordings without any are empty."""
        root = Path(place.path)
        paths = sorted(path for path in root.rglob(f"*{ENDING}") if path.is_file())
        empty = [path for path in paths if not path.stat().st_size]
        if len(empty) == len(paths):
            raise SourceError(f"{place} has no aligned utterances", fix="run 'mms-dist shards align' again")
        if empty:
            yield Note(f"{counted(len(empty), 'recording')} without utterances, the first is {empty[0].name}")
        for path in paths:
            if path.stat().st_size:
                below = path.relative_to(root)
                for found in read_table(path, RowReader(path.parent, options.language), below.as_posix()):
                    if isinstance(found, SourceRow):  # recordings in different folders may have the same name
                        yield replace(found, name="/".join((*below.parts[:-1], found.name)))
                    else:
                        yield found
