"""Languages from a table of hours, where there are no shards yet."""

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.files import read_text
from mms_dist.planning.decimals import Mark, decimal_mark, parse_decimal
from mms_dist.training.summaries import LanguageSummary
from shards import strict_json
from shards.errors import ShardsError
from shards.schema import parse_language

COLUMNS = ("language", "hours", "utterances", "steps", "tokens")
LIMITS = {"hours": 10_000_000, "utterances": 10**12, "steps": 10**9, "tokens": 1_000_000}
"""No table holds more; a larger number is a slip."""
UTTERANCE_SECONDS = 8.0
"""Length of an utterance where the table does not count them: a verse, a sentence of read speech."""
LONGEST_UTTERANCE_SECONDS = 600.0
"""On average. Above it, two columns are more likely one number with a decimal comma: `ron,12,5`."""
TOKENS = 64
"""Size of a vocabulary where the table does not tell: an alphabet with its capitals' and accents' worth of variants."""

_EXPECTED = f"expected the columns {', '.join(COLUMNS)}, of which the first two are needed: `ron<TAB>12.5`"


@dataclass(frozen=True)
class _Row:
    """A line of the table: where it is, and its values by column."""

    place: str
    values: Mapping[str, Any]


def read_hours(path: Path, config: Config) -> list[LanguageSummary]:
    """The languages of a table as a census of shards would give them, by code.

    The table is separated by tabs, semicolons or commas, with a line of headings or in the order of `COLUMNS`, or JSON:
    a list of objects, or an object of hours (or of objects) by code. `steps` and everything else that is not in the
    table is as configured.

    Raises:
        ConfigError: the table is missing or not such a table, or the configuration speaks of languages it lacks.
    """
    text = _text(path)
    is_json = path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "[")
    rows, mark = (_json_rows(path, text), None) if is_json else _separated_rows(path, text)
    entries: dict[str, LanguageSummary] = {}
    places: dict[str, str] = {}
    for row in rows:
        entry = _entry(config, row, mark)
        if entry.language in entries:
            raise ConfigError(
                f"{row.place}: {entry.language} is there a second time, it is in {places[entry.language]} already",
                fix="remove one of the two, or write their sum in one",
            )
        entries[entry.language] = entry
        places[entry.language] = row.place.removeprefix(f"{path}, ")
    chosen = sorted(entries) if config.data.languages is None else sorted(config.data.languages)
    for setting, languages in (("data.languages", chosen), ("languages", list(config.languages))):
        unknown_languages = sorted(set(languages) - set(entries))
        if unknown_languages:
            raise ConfigError(
                f"{setting} names {unknown_languages[0]}, which {path} lacks", fix="add a line with its hours"
            )
    if not chosen:
        raise ConfigError(f"{path} names no language", fix=f"{_EXPECTED}")
    return [entries[language] for language in chosen]


def _entry(config: Config, row: _Row, mark: Mark | None) -> LanguageSummary:
    code = row.values.get("language")
    if code is None or not str(code).strip():
        raise ConfigError(f"{row.place}: found no language code", fix=f"{_EXPECTED}")
    try:
        language = parse_language(str(code).strip())
    except ShardsError as error:
        raise ConfigError(f"{row.place}: {error}") from error
    seconds = 3600 * _number(row, "hours", mark)
    utterances = _whole(row, "utterances", max(1, round(seconds / UTTERANCE_SECONDS)))
    if seconds / utterances > LONGEST_UTTERANCE_SECONDS and row.values.get("utterances") not in (None, ""):
        hours, count = row.values["hours"], row.values["utterances"]
        raise ConfigError(
            f"{row.place}: found {hours} hours in {count} utterances, {seconds / utterances:,.0f} s each",
            fix=(
                f"if the hours are {hours}.{count}, write them with a point, or put tabs or semicolons between the "
                "columns"
            ),
        )
    optim = config.for_language(language).optim
    return LanguageSummary(
        language=language,
        utterances=utterances,
        seconds=seconds,
        left_out=0,
        vocabulary_size=_whole(row, "tokens", TOKENS),
        steps=_whole(row, "steps", optim.steps),
        batch_seconds=optim.batch_seconds,
    )


def _whole(row: _Row, name: str, default: int) -> int:
    if row.values.get(name) in (None, ""):
        return default
    number = _number(row, name, ",")  # so that `12.000` is asked for, and not taken for 12
    if number != int(number):
        raise ConfigError(f"{row.place}: found {name} {row.values[name]!r}, expected a whole number")
    return int(number)


def _number(row: _Row, name: str, mark: Mark | None) -> float:
    value = row.values.get(name)
    problem = ""
    number = 0.0
    if isinstance(value, str) and value.strip():
        try:
            number = parse_decimal(value, mark)
        except ValueError as error:
            problem = f": {error}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(min(value, 2 * LIMITS[name]))
    if not 0 < number <= LIMITS[name]:
        limit = f" and at most {LIMITS[name]:,}" if number > LIMITS[name] else ""
        raise ConfigError(
            f"{row.place}: found {name} {value!r}, expected a number above 0{limit}{problem or f'; {_EXPECTED}'}"
        )
    return number


def _separated_rows(path: Path, text: str) -> tuple[list[_Row], Mark | None]:
    """Rows of separated values, and the decimal mark that they use."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    separator = next((mark for mark in "\t;" if any(mark in line for _, line in lines)), ",")
    cells = [(number, _cells(path, number, line, separator)) for number, line in lines]
    columns: Sequence[str] = COLUMNS
    if cells and {"language", "lang"} & {cell.lower() for cell in cells[0][1]}:
        columns, cells = _columns(path, cells[0][1]), cells[1:]
    elif separator == "," and (several := next((number for number, row in cells if len(row) > 2), None)):
        raise ConfigError(
            f"{path}, line {several}: found more than two columns between commas and no headings, where 12,5 may be "
            "one number",
            fix="begin the table with a line such as language,hours,utterances, or put tabs between the columns",
        )
    for number, row in cells:
        if len(row) > len(columns):
            raise ConfigError(
                f"{path}, line {number}: found {len(row)} columns, expected {len(columns)} at most: "
                f"{', '.join(columns)}",
                fix="a decimal comma has to be a point where commas separate columns",
            )
    rows = [_Row(f"{path}, line {number}", dict(zip(columns, row, strict=False))) for number, row in cells]
    try:
        mark = decimal_mark((row.place.removeprefix(f"{path}, "), row.values.get("hours", "")) for row in rows)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return rows, "," if mark is None and separator == ";" else mark


def _columns(path: Path, headings: Sequence[str]) -> list[str]:
    columns = ["language" if heading.lower() == "lang" else heading.lower() for heading in headings]
    for name in columns:
        if name and columns.count(name) > 1:
            raise ConfigError(
                f"{path}: the column {name} is there twice, and only one of them would count", fix="remove one"
            )
        near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.75)
        if near and name not in COLUMNS:
            raise ConfigError(f"{path}: found a column {name!r}", fix=f"did you mean {near[0]!r}? {_EXPECTED}")
    if "hours" not in columns:
        raise ConfigError(f"{path}: found the headings {', '.join(columns)}", fix=f"{_EXPECTED}")
    return columns


def _cells(path: Path, number: int, line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True))]
    except csv.Error as error:
        raise ConfigError(f"{path}, line {number}: {error}", fix="close its quotes in the same line") from error


def _json_rows(path: Path, text: str) -> list[_Row]:
    """Rows of a JSON file, each with its place in the file."""
    try:
        content = strict_json.parse(text)
    except strict_json.RepeatedKeyError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict):
        content = [
            {"language": code} | (value if isinstance(value, dict) else {"hours": value})
            for code, value in content.items()
        ]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ConfigError(f"{path}: found no list of objects and no object by code", fix=f"{_EXPECTED}")
    return [_Row(f"{path}, entry {number}", row) for number, row in enumerate(content, 1)]


def _text(path: Path) -> str:
    try:
        return read_text(path, pipes=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"cannot read the table of hours {path}: {reason}", fix="pass --hours with another"
        ) from error
