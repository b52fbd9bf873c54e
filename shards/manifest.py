"""Manifests: one utterance a line, as tab-separated values with a header or as JSON objects."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shards.errors import ShardsError, SourceError, nearest
from shards.schema import parse_language, parse_split
from shards.sources import SourceRow

REQUIRED = ("audio", "text", "lang")
OPTIONAL = ("split", "speaker", "start", "end", "source")


def read_manifest(path: Path, *, language: str | None = None, audio_root: Path | None = None) -> list[SourceRow]:
    """The utterances of a `.tsv` or `.jsonl` manifest, in its order.

    Args:
        language: for every line, so that the column `lang` may be absent.
        audio_root: what relative audio paths start from; the manifest's folder by default.

    Raises:
        SourceError: naming the manifest's line, what was found there and what was expected.
    """
    readers = {".tsv": _tsv_lines, ".jsonl": _jsonl_lines}
    if path.suffix.lower() not in readers:
        raise SourceError(f"manifest {path}: expected a name ending in .tsv or .jsonl")
    root = audio_root or path.parent
    try:
        rows = [
            _row(fields, f"{path}:{number}", root, language)
            for number, fields in readers[path.suffix.lower()](path, language)
        ]
    except OSError as error:
        raise SourceError(f"manifest {path} can not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"manifest {path} is not UTF-8: {error}; convert it, as with iconv") from error
    if not rows:
        raise SourceError(f"manifest {path} has no utterances")
    return rows


def _tsv_lines(path: Path, language: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(lines, [])
        _check_columns(f"{path}:1", header, language)
        for fields in lines:
            if not fields:
                continue
            if len(fields) != len(header):
                raise SourceError(
                    f"{path}:{lines.line_num}: {len(fields)} tab-separated fields, the header has {len(header)}"
                )
            yield lines.line_num, dict(zip(header, fields, strict=True))


def _jsonl_lines(path: Path, language: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                fields = json.loads(line)
            except ValueError as error:
                raise SourceError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(fields, dict):
                raise SourceError(f'{path}:{number}: expected an object, as {{"audio": …, "text": …, "lang": …}}')
            _check_columns(f"{path}:{number}", list(fields), language)
            yield number, fields


def _check_columns(where: str, found: list[str], language: str | None) -> None:
    required = [name for name in REQUIRED if name != "lang" or language is None]
    missing = [name for name in required if name not in found]
    if missing:
        others = [name for name in found if name not in REQUIRED + OPTIONAL]
        close = "".join(f"; for {name!r}{nearest(name, others)}" for name in missing if nearest(name, others))
        hint = "; --lang gives one language to all of it" if "lang" in missing else ""
        raise SourceError(
            f"{where}: no column {' and no column '.join(map(repr, missing))}{close}; "
            f"found {', '.join(found) or 'none'}; expected {', '.join(REQUIRED)} "
            f"and optionally {', '.join(OPTIONAL)}{hint}"
        )


def _row(fields: dict[str, Any], where: str, root: Path, language: str | None) -> SourceRow:
    values = {name: _string(fields, name, where) for name in ("audio", "text", "lang", "split", "speaker", "source")}
    if not values["audio"]:
        raise SourceError(f"{where}: 'audio' is empty")
    try:
        code = parse_language(values["lang"] or language or "")
        split = parse_split(values["split"]) if values["split"] else None
    except ShardsError as error:
        raise SourceError(f"{where}: {error}") from error
    return SourceRow(
        audio=root / values["audio"],
        name=Path(values["audio"]).as_posix(),
        text=values["text"] or "",
        language=code,
        where=where,
        split=split,
        speaker=values["speaker"] or None,
        start_seconds=_seconds(fields, "start", where),
        end_seconds=_seconds(fields, "end", where),
        source=values["source"] or None,
    )


def _string(fields: dict[str, Any], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise SourceError(f"{where}: {name!r} is {value!r}, expected a string")
    return value


def _seconds(fields: dict[str, Any], name: str, where: str) -> float | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise SourceError(f"{where}: {name!r} is {value!r}, expected seconds, as 12.5")
    return seconds
