"""Read manifests: one utterance per line, as tab-separated values with a header or as JSON objects."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

from shards.errors import ShardsError, SourceError
from shards.languages import parse_language
from shards.sources.audio_reference import AudioFile
from shards.sources.file_finder import FileFinder
from shards.sources.manifest_columns import columns_problem, common_voice_help
from shards.sources.manifest_lines import Line, jsonl_lines, raw_lines, tsv_header, tsv_lines
from shards.sources.rows import RowError, SourceRow, check_text
from shards.sources.source import Found, SourceOptions
from shards.splits import parse_split
from shards.wording import counted, printable

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SHOWN_CHARACTERS = 60
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 4096


class Manifest:
    """A table of utterances: tab-separated values with a header, or JSON objects, one per line."""

    name = "manifest"
    expected = "a manifest with a name ending in .tsv or .jsonl"
    row_noun = "lines"

    def recognises(self, place: Path) -> bool:
        """Whether the name ends in .tsv or .jsonl."""
        return place.suffix.lower() in (".tsv", ".jsonl") and not os.path.isdir(place)

    def read(self, place: Path, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines."""
        lines = raw_lines(place)
        reader = _RowReader(options.audio_root or place.parent, options.language)
        rows = 0
        errors: list[RowError] = []
        found = jsonl_lines(lines, place) if _is_json(place, lines) else _tsv(lines, place, options.language)
        for number, fields in found:
            try:
                if isinstance(fields, RowError):
                    raise fields
                yield reader.row(fields, f"{place}:{number}")
                rows += 1
            except RowError as error:
                errors.append(error.at(f"{place.name}:{number}", reader.language_of(fields), number))
                yield errors[-1]
        if not rows:
            bad = (
                f" but {counted(len(errors), 'bad row')}, the first: {errors[0].left_out.drop.example}"
                if errors
                else ""
            )
            raise SourceError(f"manifest {printable(str(place))} has no utterances{bad}")


def _is_json(path: Path, lines: list[bytes]) -> bool:
    """Whether the lines are JSON objects: by the name, or by the first line if the name says nothing."""
    if path.suffix.lower() in (".tsv", ".jsonl"):
        return path.suffix.lower() == ".jsonl"
    return next((line.lstrip() for line in lines if line.strip()), b"").startswith(b"{")


def _tsv(lines: list[bytes], path: Path, language: str | None) -> Iterator[Line]:
    where = f"{path}:1"
    header = tsv_header(lines, where)
    problem = common_voice_help(path, header) or columns_problem(header, language)
    if problem:
        raise SourceError(
            printable(f"{where}: {problem.found}"), fix=None if problem.fix is None else printable(problem.fix)
        )
    return tsv_lines(lines, header, path)


class _RowReader:
    """Converts the fields of lines to rows."""

    def __init__(self, root: Path, language: str | None) -> None:
        self._root = root
        self._language = language
        self._finder = FileFinder()
        self._checked: Set[str] = set()

    def row(self, fields: dict[str, Any], where: str) -> SourceRow:
        """Return the utterance of one line.

        Raises:
            RowError: a field is missing, or its value is unusable.
        """
        if fields.keys() != self._checked:
            problem = columns_problem(list(fields), self._language)
            if problem:
                raise RowError(where, "row_fields", problem.found, fix=problem.fix)
            self._checked = fields.keys()
        values = {
            name: _string(fields, name, where) for name in ("audio", "text", "lang", "split", "speaker", "source")
        }
        audio = _audio(values["audio"], where)
        for name in ("lang", "split"):
            if len(values[name] or "") > _SHOWN_CHARACTERS:
                raise RowError(where, "row_value", f"{name!r} is {_shown(values[name])}, which is too long")
        try:
            code = parse_language(values["lang"] or self._language or "")
            split = parse_split(values["split"]) if values["split"] else None
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
            speaker=values["speaker"] or None,
            start_seconds=_seconds(fields, "start", where),
            end_seconds=_seconds(fields, "end", where),
            source=values["source"] or None,
        )

    def language_of(self, fields: dict[str, Any] | RowError) -> str | None:
        """Return the language of an unusable line; None if it is unknown."""
        code = fields.get("lang") if isinstance(fields, dict) else None
        try:
            return parse_language(code if isinstance(code, str) and code else self._language or "")
        except ShardsError:
            return None


def _string(fields: dict[str, Any], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise RowError(where, "row_value", f"{name!r} is {_shown(value)}, expected a string")
    return check_text(value, repr(name), where)


def _audio(value: str | None, where: str) -> str:
    """Return the path of a recording.

    Raises:
        RowError: the value is not a path.
    """
    if not value:
        raise RowError(where, "row_value", "'audio' is empty")
    if url := _URL.match(value):
        fix = "write the path alone" if url[1].lower() == "file" else "download the recordings and write their paths"
        raise RowError(
            where,
            "row_value",
            f"'audio' is a URL, {_shown(value)}",
            fix=f"'shards build' reads files of this machine: {fix}",
        )
    parts = value.encode().split(b"/") if len(value) > _MAX_NAME_BYTES // 4 else []
    if sum(map(len, parts)) + len(parts) > _MAX_PATH_BYTES or any(len(part) > _MAX_NAME_BYTES for part in parts):
        raise RowError(where, "row_value", f"'audio' is longer than a path can be: {_shown(value)}")
    return value


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[: _SHOWN_CHARACTERS - 1]}…"


def _seconds(fields: dict[str, Any], name: str, where: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise RowError(where, "row_value", f"{name!r} is {_shown(value)}, expected seconds, as 12.5")
    return seconds
