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
from shards.sources.file_finder import FileFinder
from shards.sources.manifest_columns import columns_problem, common_voice_help
from shards.sources.manifest_lines import Line, jsonl_lines, raw_lines, tsv_header, tsv_lines
from shards.sources.rows import LeftOut, RowError, SourceRow, SourceRows, check_text
from shards.splits import parse_split
from shards.wording import counted, printable

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SHOWN_CHARACTERS = 60
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 4096


def read_manifest(
    path: Path, *, language: str | None = None, audio_root: Path | None = None, skip_bad_rows: bool = False
) -> SourceRows:
    """Read the utterances of a `.tsv` or `.jsonl` manifest, in its order.

    Args:
        language: the language of every line. The column `lang` may then be absent.
        audio_root: the folder that relative audio paths start from; by default, the manifest's folder.
        skip_bad_rows: count unusable lines instead of stopping at the first.

    Raises:
        SourceError: names the line of the manifest, what was found there and what was expected.
    """
    suffix = path.suffix.lower()
    if suffix not in (".tsv", ".jsonl") or (_URL.match(str(path)) and not os.path.exists(path)):
        raise _not_a_manifest(path)
    lines = raw_lines(path)
    found = _tsv(lines, path, language) if suffix == ".tsv" else jsonl_lines(lines, path)
    reader = _RowReader(audio_root or path.parent, language)
    rows: list[SourceRow] = []
    left_out: list[LeftOut] = []
    for number, fields in found:
        try:
            if isinstance(fields, RowError):
                raise fields
            rows.append(reader.row(fields, f"{path}:{number}"))
        except RowError as error:
            if not skip_bad_rows:
                skip = "leave such lines out with --skip-bad-rows"
                raise SourceError(
                    printable(error.found), fix=skip if error.fix is None else printable(f"{error.fix}, or {skip}")
                ) from error
            example = printable(f"{path.name}:{number}: {error.detail}")
            left_out.append(LeftOut(error.reason, example, reader.language_of(fields), line=number))
    if not rows:
        bad = f" but {counted(len(left_out), 'bad row')}, the first: {left_out[0].example}" if left_out else ""
        raise SourceError(f"manifest {printable(str(path))} has no utterances{bad}")
    return SourceRows(rows, left_out)


def _not_a_manifest(path: Path) -> SourceError:
    """Return the error for a source that is not a manifest."""
    expected = "expected a folder of recordings, or a manifest with a name ending in .tsv or .jsonl"
    fixes = {
        ".csv": "save the table with tabs between its columns",
        ".xlsx": "save the table as text with tabs between its columns",
        ".json": "if each line is an object, rename it to .jsonl; for an array: jq -c '.[]' FILE > manifest.jsonl",
        ".gz": "decompress it with gunzip",
        ".tar": "index tars with 'mms-dist shards index'",
    }
    if _URL.match(str(path)):
        url = str(path).replace(":/", "://", 1)
        return SourceError(f"{url} is a URL, {expected}, on this machine", fix="download it first")
    if not os.path.exists(path):
        return SourceError(f"no file or folder {printable(str(path))}, {expected}")
    return SourceError(f"manifest {printable(str(path))}: {expected}", fix=fixes.get(path.suffix.lower()))


def _tsv(lines: list[bytes], path: Path, language: str | None) -> Iterator[Line]:
    where = f"{path}:1"
    header = tsv_header(lines, where)
    problem = common_voice_help(path, header) or columns_problem(header, language)
    if problem:
        found, fix = problem
        raise SourceError(printable(f"{where}: {found}"), fix=None if fix is None else printable(fix))
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
                found, fix = problem
                raise RowError(where, "row_fields", found, fix=fix)
            self._checked = fields.keys()
        values = {
            name: _string(fields, name, where) for name in ("audio", "text", "lang", "split", "speaker", "source")
        }
        audio = _audio(values["audio"], where)
        for name in ("lang", "split"):
            if len(values[name] or "") > _SHOWN_CHARACTERS:
                raise RowError(where, "row_value", f"{name!r} is {_shown(values[name])}, which is none")
        try:
            code = parse_language(values["lang"] or self._language or "")
            split = parse_split(values["split"]) if values["split"] else None
            recording = self._root / audio
            if not audio.isascii():
                recording = self._finder.find(recording)
        except ShardsError as error:
            raise RowError(where, "row_value", str(error)) from error
        return SourceRow(
            audio=recording,
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
