"""Read languages from a table of hours, for planning before there are shards."""

import csv
import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mms_dist.config import Optim
from mms_dist.data.language_summaries import LanguageSummary
from mms_dist.errors import ConfigError
from mms_dist.files import UnreadableFileError, read_text
from mms_dist.planning.decimals import Mark, decimal_mark, parse_decimal
from shards import strict_json
from shards.errors import ShardsError
from shards.languages import resolve_language

COLUMNS = ("language", "hours", "utterances", "steps", "tokens")
LIMITS = {"hours": 10_000_000, "utterances": 10**12, "steps": 10**9, "tokens": 1_000_000}
"""Larger than any real value; a larger number is a typo."""
UTTERANCE_SECONDS = 8.0
"""Utterance length assumed if the table has no utterance counts: a verse, or a sentence of read speech."""
LONGEST_UTTERANCE_SECONDS = 600.0
"""Largest plausible mean. Above it, two columns are probably one number with a decimal comma: `ron,12,5`."""
TOKENS = 64
"""Vocabulary size assumed if the table has none: an alphabet with capitals and accented letters."""

_EXPECTED = f"expected the columns {', '.join(COLUMNS)}; the first two are required: `ron<TAB>12.5`"


@dataclass(frozen=True)
class _Row:
    """A row of the table: its place in the file, and its values by column."""

    place: str
    values: Mapping[str, Any]


def read_hours(
    path: Path,
    optim_of: Callable[[str], Optim],
    *,
    languages: Sequence[str] | None = None,
    overridden: Collection[str] = (),
) -> list[LanguageSummary]:
    """Return the summaries of the languages in a table, sorted by code, like the summaries of shards.

    The table is separated by tabs, semicolons or commas, with a header line or in the order of `COLUMNS`; or it is
    JSON: a list of objects, or an object that maps codes to hours or to objects. The number of steps comes
    from the configuration where the table has none.

    Args:
        optim_of: returns the section `optim` of a language.
        languages: `data.languages`, the languages to train; None: all of the table.
        overridden: the languages that have settings of their own.

    Raises:
        ConfigError: the table is missing or malformed, or the configuration names languages that it lacks.
    """
    text = _text(path)
    is_json = path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "[")
    rows, mark = (_json_rows(path, text), None) if is_json else _separated_rows(path, text)
    entries: dict[str, LanguageSummary] = {}
    places: dict[str, str] = {}
    for row in rows:
        entry = _entry(row, mark, optim_of)
        if entry.language in entries:
            raise ConfigError(
                f"{row.place}: {entry.language} is listed twice, first in {places[entry.language]}",
                fix="remove one of the two, or replace them by their sum",
            )
        entries[entry.language] = entry
        places[entry.language] = row.place.removeprefix(f"{path}, ")
    chosen = sorted(entries) if languages is None else sorted(languages)
    for setting, named in (("data.languages", chosen), ("languages", overridden)):
        unknown_languages = sorted(set(named) - set(entries))
        if unknown_languages:
            raise ConfigError(
                f"{setting} names {unknown_languages[0]}, which is not in {path}", fix="add a line with its hours"
            )
    if not chosen:
        raise ConfigError(f"{path} names no language", fix=_EXPECTED)
    return [entries[language] for language in chosen]


def _entry(row: _Row, mark: Mark | None, optim_of: Callable[[str], Optim]) -> LanguageSummary:
    code = row.values.get("language")
    if code is None or not str(code).strip():
        raise ConfigError(f"{row.place}: found no language code", fix=_EXPECTED)
    try:
        language = resolve_language(code)
    except ShardsError as error:
        raise ConfigError(f"{row.place}: {error.found}", fix=error.fix) from error
    seconds = 3600 * _number(row, "hours", mark)
    utterances = _whole(row, "utterances", max(1, round(seconds / UTTERANCE_SECONDS)))
    if seconds / utterances > LONGEST_UTTERANCE_SECONDS and row.values.get("utterances") not in (None, ""):
        hours, count = row.values["hours"], row.values["utterances"]
        raise ConfigError(
            f"{row.place}: found {hours} hours in {count} utterances, {seconds / utterances:,.0f} s each",
            fix=(
                f"if the hours are {hours}.{count}, write them with a decimal point, or separate the columns with tabs "
                "or semicolons"
            ),
        )
    optim = optim_of(language)
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
    number = _number(row, name, ",")  # refuses `12.000` as ambiguous, instead of reading it as 12
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
            problem = str(error)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(min(value, 2 * LIMITS[name]))
    if not 0 < number <= LIMITS[name]:
        limit = f" and at most {LIMITS[name]:,}" if number > LIMITS[name] else ""
        raise ConfigError(
            f"{row.place}: found {name} {value!r}, expected a number above 0{limit}", fix=problem or _EXPECTED
        )
    return number


def _separated_rows(path: Path, text: str) -> tuple[list[_Row], Mark | None]:
    """Return the rows of a table with separators, and the decimal mark that it uses."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    separator = next((mark for mark in "\t;" if any(mark in line for _, line in lines)), ",")
    cells = [(number, _cells(path, number, line, separator)) for number, line in lines]
    columns: Sequence[str] = COLUMNS
    if cells and {"language", "lang"} & {cell.lower() for cell in cells[0][1]}:
        columns, cells = _columns(path, cells[0][1]), cells[1:]
    elif separator == "," and (several := next((number for number, row in cells if len(row) > 2), None)):
        raise ConfigError(
            f"{path}, line {several}: found more than two comma-separated columns without a header, so 12,5 may be one "
            "number",
            fix="add a header line such as language,hours,utterances, or separate the columns with tabs",
        )
    for number, row in cells:
        if len(row) > len(columns):
            raise ConfigError(
                f"{path}, line {number}: found {len(row)} columns, expected at most {len(columns)}: "
                f"{', '.join(columns)}",
                fix="use a decimal point if commas separate the columns",
            )
    rows = [_Row(f"{path}, line {number}", dict(zip(columns, row, strict=False))) for number, row in cells]
    try:
        mark = decimal_mark((row.place.removeprefix(f"{path}, "), row.values.get("hours", "")) for row in rows)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}", fix="write all numbers with a decimal point") from error
    return rows, "," if mark is None and separator == ";" else mark


def _columns(path: Path, headings: Sequence[str]) -> list[str]:
    columns = ["language" if heading.lower() == "lang" else heading.lower() for heading in headings]
    for name in columns:
        if name and columns.count(name) > 1:
            raise ConfigError(
                f"{path}: the column {name} is given twice, but only one would take effect", fix="remove one"
            )
        near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.75)
        if near and name not in COLUMNS:
            raise ConfigError(f"{path}: found a column {name!r}", fix=f"did you mean {near[0]!r}? {_EXPECTED}")
    if "hours" not in columns:
        raise ConfigError(f"{path}: found the headings {', '.join(columns)}", fix=_EXPECTED)
    return columns


def _cells(path: Path, number: int, line: str, separator: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True))]
    except csv.Error as error:
        raise ConfigError(f"{path}, line {number}: {error}", fix="close the quotes on the same line") from error


def _json_rows(path: Path, text: str) -> list[_Row]:
    """Return the rows of a JSON file, each with its place in the file."""
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
        raise ConfigError(f"{path}: found neither a list of objects nor an object with codes", fix=_EXPECTED)
    return [_Row(f"{path}, entry {number}", row) for number, row in enumerate(content, 1)]


def _text(path: Path) -> str:
    try:
        return read_text(path, pipes=True)
    except UnreadableFileError as error:
        raise ConfigError(
            f"cannot read the table of hours {path}: {error.found}",
            fix=error.fix or "pass an existing file with --hours",
        ) from error
