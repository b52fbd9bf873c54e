"""Read manifests: tables with an utterance per row, as delimited text, as JSON lines or as parquet."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shards.errors import Problem, ShardsError, SourceError
from shards.languages import parse_language
from shards.sources.audio_reference import AudioFile
from shards.sources.delimited_table import DelimitedTable, Line
from shards.sources.file_finder import FileFinder
from shards.sources.json_lines import json_lines
from shards.sources.manifest_columns import TAGS, Columns, choose_columns
from shards.sources.parquet_table import ParquetTable
from shards.sources.rows import Note, RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.sources.text_lines import TextLines
from shards.splits import parse_split
from shards.wording import counted, printable

_SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".parquet")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SHOWN_CHARACTERS = 60
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 4096
_STRINGS = ("audio", "text", "lang", "split", "speaker", "source")
# Fields whose values other tools write as whole numbers too.
_NUMBERED = ("speaker", "source")


class Manifest:
    """A table of utterances: delimited text with a header, JSON objects, one per line, or parquet."""

    name = "manifest"
    expected = "a manifest with a name ending in .tsv, .csv, .jsonl or .parquet"
    row_noun = "lines"
    uses = frozenset({"audio_root", "columns"})

    def recognises(self, place: Path) -> bool:
        """Whether the name ends as those of tables do."""
        return place.suffix.lower() in _SUFFIXES and not os.path.isdir(place)

    def read(self, place: Path, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines."""
        reader = _RowReader(place, options)
        rows = bad = 0
        first: RowError | None = None
        for number, fields in _table(place, reader):
            try:
                if isinstance(fields, RowError):
                    raise fields
                row = reader.row(fields, f"{place}:{number}")
            except RowError as error:
                found = error.at(f"{place.name}:{number}", reader.language_of(fields), number)
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
            raise SourceError(f"manifest {printable(str(place))} has no utterances{shown}")


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

    def __init__(self, place: Path, options: SourceOptions) -> None:
        self.given: Mapping[str, str] = options.columns or {}
        self.note: str | None = None
        self._root = options.audio_root or place.parent
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
            field: _string(fields[names[field]], names[field], field, where) for field in _STRINGS if field in names
        }
        audio = _audio(values["audio"], names["audio"], where)
        for field in ("lang", "split"):
            if len(values.get(field) or "") > _SHOWN_CHARACTERS:
                raise RowError(where, "row_value", f"{names[field]!r} is {_shown(values[field])}, which is too long")
        try:
            code = parse_language(values.get("lang") or self._language or "")
            split = values.get("split")
            split = parse_split(split) if split else None
            recording = self._root / audio
            if not audio.isascii():
                recording = self._finder.find(recording)
        except ShardsError as error:
            raise RowError(where, "row_value", str(error)) from error
        return SourceRow(
            audio=AudioFile(recording),
            name=Path(audio).as_posix(),
            text=values["text"] or "",
            language=code,
            where=where,
            split=split,
            speaker=values.get("speaker") or None,
            start_seconds=self._seconds(fields, "start", where),
            end_seconds=self._seconds(fields, "end", where),
            source=values.get("source") or None,
            tags={tag: value for tag in TAGS if tag in names and (value := _tag(fields[names[tag]], where))} or None,
        )

    def language_of(self, fields: dict[str, Any] | RowError) -> str | None:
        """Return the language of an unusable line; None if it is unknown."""
        column = self._columns.names.get("lang", "lang")
        code = fields.get(column) if isinstance(fields, dict) else None
        try:
            return parse_language(code if isinstance(code, str) and code else self._language or "")
        except ShardsError:
            return None

    def _seconds(self, fields: dict[str, Any], field: str, where: str) -> float | None:
        column = self._columns.names.get(field)
        value = None if column is None else fields[column]
        if value is None or value == "":
            return None
        try:
            seconds = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            seconds = math.nan
        if not math.isfinite(seconds):
            raise RowError(where, "row_value", f"{column!r} is {_shown(value)}, expected seconds, as 12.5")
        return seconds


def _string(value: object, column: str, field: str, where: str) -> str | None:
    if value is None:
        return None
    if field in _NUMBERED and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RowError(where, "row_value", f"{column!r} is {_shown(value)}, expected a string")
    return check_text(value, repr(column), where)


def _tag(value: object, where: str) -> str | None:
    """Return a tag as text; None if there is none, or if it is more than one value."""
    if isinstance(value, str):
        return check_text(value, "a tag", where)
    number = isinstance(value, int | float) and math.isfinite(value)
    return str(value) if number else None


def _audio(value: str | None, column: str, where: str) -> str:
    """Return the path of a recording.

    Raises:
        RowError: the value is not a path.
    """
    if not value:
        raise RowError(where, "row_value", f"{column!r} is empty")
    if url := _URL.match(value):
        fix = "write the path alone" if url[1].lower() == "file" else "download the recordings and write their paths"
        raise RowError(
            where,
            "row_value",
            f"{column!r} is a URL, {_shown(value)}",
            fix=f"'shards build' reads files of this machine: {fix}",
        )
    parts = value.encode().split(b"/") if len(value) > _MAX_NAME_BYTES // 4 else []
    if sum(map(len, parts)) + len(parts) > _MAX_PATH_BYTES or any(len(part) > _MAX_NAME_BYTES for part in parts):
        raise RowError(where, "row_value", f"{column!r} is longer than a path can be: {_shown(value)}")
    return value


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"
