"""Read manifests: tables with an utterance per row, as delimited text, as JSON lines or as parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shards.errors import Problem, ShardsError, SourceError
from shards.sources.audio_reference import AudioFile
from shards.sources.delimited_table import DelimitedTable, Line
from shards.sources.file_finder import FileFinder
from shards.sources.json_lines import json_lines
from shards.sources.manifest_columns import TAGS, Columns, choose_columns
from shards.sources.parquet_table import ParquetTable
from shards.sources.row_fields import audio_path, language, seconds, split, string, tag
from shards.sources.rows import Note, RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.text_lines import TextLines
from shards.wording import counted, printable

_SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".parquet")
_TIMES = ("start", "end")
# Fields whose values other tools write as whole numbers too.
_NUMBERED = ("speaker", "source")


class Manifest:
    """A table of utterances: delimited text with a header, JSON objects, one per line, or parquet."""

    name = "manifest"
    expected = "a manifest with a name ending in .tsv, .csv, .jsonl or .parquet"
    row_noun = "lines"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether the name ends as those of tables do."""
        return place.path.suffix.lower() in _SUFFIXES and not os.path.isdir(place.path)

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines."""
        path = place.path
        reader = _RowReader(path, options)
        rows = bad = 0
        first: RowError | None = None
        for number, fields in _table(path, reader):
            try:
                if isinstance(fields, RowError):
                    raise fields
                row = reader.row(fields, f"{path}:{number}")
            except RowError as error:
                found = error.at(f"{path.name}:{number}", reader.language_of(fields), number)
                bad += 1
                first = first or found
                yield found
            else:
                if not rows and reader.note:
                    yield Note(reader.note)
                rows += 1
                yield row
        if not rows:
            shown = f" but {counted(bad, 'bad row')}, the first: {first.left_out.drop.example}" if first else ""
            raise SourceError(f"manifest {place} has no utterances{shown}")


def _table(path: Path, reader: _RowReader) -> Iterator[Line]:
    """Return the rows of a table in any of the formats, after a look at its columns."""
    if _is_parquet(path):
        parquet = ParquetTable(path)
        columns = reader.choose(parquet.header, printable(str(path)))
        if not parquet.holds_paths(columns.names["audio"]):
            raise SourceError(
                f"{printable(str(path))}: column {columns.names['audio']!r} has no paths of recordings",
                fix="name the column with the paths: --columns audio=COLUMN",
            )
        return parquet.rows(dict.fromkeys(columns.names.values()))
    lines = TextLines(path)
    if _is_json(lines):
        return json_lines(lines)
    table = DelimitedTable(lines, reader.given)
    return table.rows(reader.choose(table.header, lines.where(1)).names["text"])


def _is_parquet(path: Path) -> bool:
    if path.suffix.lower() in _SUFFIXES:
        return path.suffix.lower() == ".parquet"
    if not os.path.isfile(path):  # a pipe can be read once only
        return False
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:  # whatever reads it next says so
        return False


def _is_json(lines: TextLines) -> bool:
    """Whether the lines are JSON objects: by the name, or by the first line if the name says nothing."""
    suffix = lines.path.suffix.lower()
    if suffix in _SUFFIXES:
        return suffix in (".jsonl", ".ndjson")
    return next((line.lstrip() for _, line in lines if line.strip()), b"").startswith(b"{")


class _RowReader:
    """Converts the fields of lines to rows."""

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.given: Mapping[str, str] = options.columns or {}
        self.note: str | None = None
        self._root = options.audio_root or path.parent
        self._language = options.language
        self._finder = FileFinder()
        self._keys: list[str] | None = None
        self._columns = Columns({}, {})

    def choose(self, header: list[str], where: str) -> Columns:
        """Choose the columns of all lines by the table's header.

        Raises:
            SourceError: a required column is missing.
        """
        problem = self._choose(header)
        if problem:
            fix = None if problem.fix is None else printable(problem.fix)
            raise SourceError(printable(f"{where}: {problem.found}"), fix=fix)
        return self._columns

    def _choose(self, keys: list[str]) -> Problem | None:
        if keys == self._keys:
            return None
        chosen = choose_columns(keys, self.given, needs_language=self._language is None)
        if isinstance(chosen, Problem):
            return chosen
        self._keys, self._columns = keys, chosen
        self.note = self.note or chosen.note
        return None

    def row(self, fields: dict[str, Any], where: str) -> SourceRow:
        """Return the utterance of one line.

        Raises:
            RowError: a field is missing, or its value is unusable.
        """
        problem = self._choose(list(fields))  # the objects of JSON lines may differ in their keys
        if problem:
            raise RowError(where, "row_fields", problem.found, fix=problem.fix)
        names = self._columns.names
        values = {
            field: string(fields[names[field]], names[field], where, numbers=field in _NUMBERED)
            for field in ("audio", "text", "split", "speaker", "source")
            if field in names
        }
        audio = audio_path(values["audio"], names["audio"], where)
        recording = self._root / audio
        if not audio.isascii():
            try:
                recording = self._finder.find(recording)
            except ShardsError as error:
                raise RowError(where, "row_value", error.found, error.fix) from error
        times = {field: seconds(fields[names[field]], names[field], where) for field in _TIMES if field in names}
        return SourceRow(
            audio=AudioFile(recording),
            name=Path(audio).as_posix(),
            text=values["text"] or "",
            language=self._language_in(fields, where),
            where=where,
            split=split(values["split"], names["split"], where) if "split" in names else None,
            speaker=values.get("speaker") or None,
            start_seconds=times.get("start"),
            end_seconds=times.get("end"),
            source=values.get("source") or None,
            tags={name: value for name in TAGS if name in names and (value := tag(fields[names[name]], where))} or None,
        )

    def _language_in(self, fields: dict[str, Any], where: str) -> str:
        column = self._columns.names.get("lang")
        code = string(fields[column], column, where) if column is not None else None
        return language(code or self._language, column or "lang", where)

    def language_of(self, fields: dict[str, Any] | RowError) -> str | None:
        """Return the language of an unusable line; None if it is unknown."""
        column = self._columns.names.get("lang", "lang")
        code = fields.get(column) if isinstance(fields, dict) else None
        try:
            return language(code if isinstance(code, str) and code else self._language, column, "")
        except ShardsError:
            return None
