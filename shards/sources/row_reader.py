"""Convert the rows of a table to utterances."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shards.audio.extensions import ALL_EXTENSIONS, readable_extensions
from shards.errors import Problem, ShardsError, SourceError
from shards.languages import resolve_language
from shards.sources import row_fields
from shards.sources.audio_reference import AudioFile, AudioReference
from shards.sources.file_finder import FileFinder
from shards.sources.folder_files import extension_of
from shards.sources.manifest_columns import TAGS, Columns, choose_columns
from shards.sources.rows import RowError, SourceRow
from shards.wording import printable

_STRINGS = ("text", "lang", "split", "speaker", "source", "align_model")
# Fields whose values other tools write as whole numbers too.
_NUMBERED = ("speaker", "source")


class NamedAudio(NamedTuple):
    """A recording, and its name within the source."""

    audio: AudioReference
    name: str


class RowReader:
    """Converts rows, as values by the names of their columns.

    Args:
        root: the folder that relative paths of recordings start from.
        language: of the rows that name none.
        given: the columns that the user named, by field.
    """

    def __init__(self, root: Path, language: str | None, given: Mapping[str, str] | None = None) -> None:
        self.given: Mapping[str, str] = given or {}
        self.note: str | None = None
        self._root = root
        self._language = language
        self._finder = FileFinder()
        self._ending = ""
        self._keys: list[str] | None = None
        self._columns = Columns({}, {})

    def choose(self, header: list[str], where: str) -> Columns:
        """Choose the columns of all rows by the table's header.

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

    def row(self, fields: dict[str, Any], where: str, recording: NamedAudio | None = None) -> SourceRow:
        """Return the utterance of one row.

        Args:
            recording: the recording; by default, it is in the file whose path the row has.

        Raises:
            RowError: a field is missing, or its value is unusable.
        """
        problem = self._choose(list(fields))  # the objects of JSON lines may differ in their keys
        if problem:
            raise RowError(where, "row_fields", problem.found, fix=problem.fix)
        names = self._columns.names
        audio, name = recording or self._file(fields[names["audio"]], names["audio"], where)
        values = {
            field: row_fields.string(fields[names[field]], names[field], where, numbers=field in _NUMBERED)
            for field in _STRINGS
            if field in names
        }
        start, end = (
            row_fields.seconds(fields[names[field]], names[field], where) if field in names else None
            for field in ("start", "end")
        )
        channel = names.get("channel")
        score = names.get("align_score")
        tags = {tag: row_fields.tag(fields[names[tag]], where) for tag in TAGS if tag in names}
        return SourceRow(
            audio=audio,
            name=name,
            text=values["text"] or "",
            language=row_fields.language(values.get("lang"), names.get("lang", "lang"), where, self._language),
            where=where,
            split=row_fields.split(values.get("split"), names.get("split", "split"), where),
            speaker=values.get("speaker") or None,
            start_seconds=start,
            end_seconds=end,
            source=values.get("source") or None,
            channel=None if channel is None else row_fields.channel(fields[channel], channel, where),
            tags={tag: value for tag, value in tags.items() if value} or None,
            align_score=None if score is None else row_fields.score(fields[score], score, where),
            align_model=values.get("align_model") or None,
        )

    def language_of(self, fields: dict[str, Any] | RowError) -> str | None:
        """Return the language of an unusable row; None if it is unknown."""
        column = self._columns.names.get("lang", "lang")
        code = fields.get(column) if isinstance(fields, dict) else None
        try:
            return resolve_language(code if isinstance(code, str) and code else self._language or "")
        except ShardsError:
            return None

    def _file(self, value: object, column: str, where: str) -> NamedAudio:
        path = row_fields.audio_path(row_fields.string(value, column, where), column, where)
        try:
            found, path = self._found(path)
        except SourceError as error:
            raise RowError(where, "row_value", error.found, fix=error.fix) from error
        return NamedAudio(AudioFile(found), Path(path).as_posix())

    def _found(self, path: str) -> tuple[Path, str]:
        """Return the file with this path, and the path that it has: perhaps with slashes, or with an extension."""
        found = self._finder.find(self._root / path)
        has_extension = extension_of(path) in ALL_EXTENSIONS
        if (has_extension and "\\" not in path) or os.path.exists(found):
            return found, path
        slashed = path.replace("\\", "/")  # as on Windows
        endings = [""] if has_extension else ["", self._ending, *(f".{name}" for name in readable_extensions())]
        for ending in endings:
            other = self._finder.find(self._root / f"{slashed}{ending}")
            if os.path.isfile(other):
                self._ending = ending
                return other, f"{slashed}{ending}"
        return found, path
