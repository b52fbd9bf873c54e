"""Read tables of utterances, in any of the formats of manifests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from shards.errors import ShardsError, SourceError
from shards.sources.data_file import DataFile
from shards.sources.delimited_table import DelimitedTable, Line
from shards.sources.json_lines import json_array, json_lines
from shards.sources.parquet_table import ParquetTable
from shards.sources.row_reader import RowReader
from shards.sources.rows import Note, RowError, SourceRow
from shards.sources.text_lines import TextLines
from shards.wording import counted, printable

SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_table(path: Path, reader: RowReader, shown: str | None = None) -> Iterator[SourceRow | RowError | Note]:
    """Yield the utterances of a table and its unusable lines, in their order.

    Args:
        shown: the table's name among the lines that were skipped; by default, that of its file.

    Raises:
        SourceError: it cannot be read, lacks a column or has no utterances.
    """
    rows = bad = 0
    first: RowError | None = None
    for number, fields in _table(path, reader):
        try:
            if isinstance(fields, RowError):
                raise fields
            row = reader.row(fields, f"{path}:{number}")
        except RowError as error:
            found = error.at(f"{shown or path.name}:{number}", reader.language_of(fields), number)
            bad += 1
            first = first or found
            yield found
        else:
            if not rows and reader.note:
                yield Note(reader.note)
            rows += 1
            yield row
    if not rows:
        but = f" but {counted(bad, 'bad row')}, the first: {first.left_out.drop.example}" if first else ""
        raise SourceError(f"manifest {printable(str(path))} has no utterances{but}")


def has_utterances(path: Path, given: Mapping[str, str] | None) -> bool:
    """Whether a table has columns for recordings and texts, by the user's choice or by usual names."""
    reader = RowReader(path.parent, "und", given)
    try:
        _, fields = next(iter(_table(path, reader)), (0, {}))
        if not isinstance(fields, RowError):
            reader.choose(list(fields), str(path))
    except ShardsError:
        return False
    # A file named .json may be anything, such as a configuration.
    return not isinstance(fields, RowError) or path.suffix.lower() != ".json"


def _table(path: Path, reader: RowReader) -> Iterator[Line]:
    """Return the rows of a table in any of the formats, after a look at its columns."""
    if _is_parquet(path):
        parquet = ParquetTable(DataFile(str(path), path.name))
        columns = reader.choose(parquet.header, printable(str(path)))
        if not parquet.holds_paths(columns.names["audio"]):
            raise SourceError(
                f"{printable(str(path))}: column {columns.names['audio']!r} has no paths of recordings",
                fix="name the column with the paths: --columns audio=COLUMN",
            )
        return parquet.rows(dict.fromkeys(columns.names.values()))
    lines = TextLines(path)
    start = next((line.lstrip()[:1] for _, line in lines if line.strip()), b"")
    if _is_json(path, start):
        return json_array(lines) if start == b"[" else json_lines(lines)
    table = DelimitedTable(lines, reader.given)
    return table.rows(reader.choose(table.header, lines.where(1)).names["text"])


def _is_parquet(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return path.suffix.lower() == ".parquet"
    if not os.path.isfile(path):  # a pipe can be read once only
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:  # whatever reads it next says so
        return False


def _is_json(path: Path, start: bytes) -> bool:
    """Whether a table has JSON objects: by its name, or by its first character if the name says nothing."""
    suffix = path.suffix.lower()
    return suffix in _JSON_SUFFIXES if suffix in SUFFIXES else start in (b"{", b"[")
