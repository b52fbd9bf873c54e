"""Languages from a table of hours, where there are no shards yet."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.training.census import LanguageEntry

COLUMNS = ("language", "hours", "utterances", "steps", "tokens")
UTTERANCE_SECONDS = 8.0
"""Length of an utterance where the table does not count them: a verse, a sentence of read speech."""
TOKENS = 64
"""Size of a vocabulary where the table does not tell: an alphabet with its capitals' and accents' worth of variants."""

_EXPECTED = f"expected the columns {', '.join(COLUMNS)}, of which the first two are needed: `ron<TAB>12.5`"


def read_hours(path: Path, config: Config) -> list[LanguageEntry]:
    """The languages of a table as a census of shards would give them, by code.

    The table is TSV or CSV, with a line of headings or in the order of `COLUMNS`, or JSON: a list of objects, or
    an object of hours (or of objects) by code. `steps` and everything else that is not in the table is as configured.

    Raises:
        ConfigError: the table is missing or not such a table, or the configuration speaks of languages it lacks.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _separated_rows(path)
    entries: dict[str, LanguageEntry] = {}
    for place, row in rows:
        entry = _entry(config, row, place)
        if entry.language in entries:
            raise ConfigError(f"{place}: {entry.language} is there a second time; remove one of the two")
        entries[entry.language] = entry
    chosen = sorted(entries) if config.data.languages is None else sorted(config.data.languages)
    for setting, languages in (("data.languages", chosen), ("languages", list(config.languages))):
        strangers = sorted(set(languages) - set(entries))
        if strangers:
            raise ConfigError(f"{setting} names {strangers[0]}, which {path} lacks; add a line with its hours")
    if not chosen:
        raise ConfigError(f"{path} names no language; {_EXPECTED}")
    return [entries[language] for language in chosen]


def _entry(config: Config, row: Mapping[str, Any], place: str) -> LanguageEntry:
    language = str(row.get("language") or "").strip()
    if not language:
        raise ConfigError(f"{place}: found no language code; {_EXPECTED}")
    seconds = 3600 * _number(row, "hours", place)
    optim = config.for_language(language).optim
    return LanguageEntry(
        language=language,
        utterances=_whole(row, "utterances", place, max(1, round(seconds / UTTERANCE_SECONDS))),
        seconds=seconds,
        left_out=0,
        vocabulary_size=_whole(row, "tokens", place, TOKENS),
        steps=_whole(row, "steps", place, optim.steps),
        batch_seconds=optim.batch_seconds,
    )


def _whole(row: Mapping[str, Any], name: str, place: str, default: int) -> int:
    if row.get(name) in (None, ""):
        return default
    number = _number(row, name, place)
    if number != int(number):
        raise ConfigError(f"{place}: found {name} {row[name]!r}, expected a whole number")
    return int(number)


def _number(row: Mapping[str, Any], name: str, place: str) -> float:
    try:
        number = float(row[name])
    except (KeyError, TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ConfigError(f"{place}: found {name} {row.get(name)!r}, expected a number above 0; {_EXPECTED}")
    return number


def _separated_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a TSV or CSV file, each with its place in the file."""
    lines = [(number, line) for number, line in enumerate(_text(path).splitlines(), 1) if line.strip()]
    separator = "\t" if any("\t" in line for _, line in lines) else ","
    cells = [(number, next(csv.reader([line], delimiter=separator))) for number, line in lines]
    columns: Sequence[str] = COLUMNS
    if cells and "language" in (headings := [cell.strip().lower() for cell in cells[0][1]]):
        columns, cells = headings, cells[1:]
        if "hours" not in columns:
            raise ConfigError(f"{path}: found the headings {', '.join(columns)}; {_EXPECTED}")
    return [(f"{path}, line {number}", dict(zip(columns, row, strict=False))) for number, row in cells]


def _json_rows(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a JSON file, each with its place in the file."""
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict):
        content = [
            {"language": code} | (value if isinstance(value, dict) else {"hours": value})
            for code, value in content.items()
        ]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ConfigError(f"{path}: found no list of objects and no object by code; {_EXPECTED}")
    return [(f"{path}, entry {number}", row) for number, row in enumerate(content, 1)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read the table of hours {path}: {reason}; pass --hours with another") from error
