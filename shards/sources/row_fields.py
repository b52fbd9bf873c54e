"""Check single values of a row: texts, paths, times and languages."""

from __future__ import annotations

import math
import re

from shards.errors import ShardsError
from shards.languages import LanguageError, resolve_language
from shards.sources.rows import RowError, check_text
from shards.splits import parse_split

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_SHOWN_CHARACTERS = 60
_MAX_CHANNELS = 1024
_MAX_NAME_BYTES = 255
_MAX_PATH_BYTES = 4096


def string(value: object, name: str, where: str, *, numbers: bool = False) -> str | None:
    """Return a value that is text; None if there is none.

    Args:
        numbers: take a whole number too, as its digits.

    Raises:
        RowError: it is no text, or cannot be stored.
    """
    if value is None:
        return None
    if numbers and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RowError(where, "row_value", f"{name!r} is {shown(value)}, expected a string")
    return check_text(value, repr(name), where)


def seconds(value: object, name: str, where: str) -> float | None:
    """Return a time in seconds; None if there is none.

    Raises:
        RowError: it is no finite number.
    """
    if value is None or value == "":
        return None
    found = _number(value)
    if not math.isfinite(found):
        raise RowError(where, "row_value", f"{name!r} is {shown(value)}, expected seconds, as 12.5")
    return found


def score(value: object, name: str, where: str) -> float | None:
    """Return a score; None if there is none.

    Raises:
        RowError: it is not a finite number.
    """
    if value is None or value == "":
        return None
    found = _number(value)
    if not math.isfinite(found):
        raise RowError(where, "row_value", f"{name!r} is {shown(value)}, expected a number, as -0.75")
    return found


def channel(value: object, name: str, where: str) -> int | None:
    """Return the number of a channel, from 1; None if there is none.

    Raises:
        RowError: it is no such number.
    """
    if value is None or value == "":
        return None
    found = str(value)
    if not found.isascii() or not found.isdecimal() or not 1 <= int(found) <= _MAX_CHANNELS:
        raise RowError(where, "row_value", f"{name!r} is {shown(value)}, expected the number of a channel, from 1")
    return int(found)


def tag(value: object, where: str) -> str | None:
    """Return a tag as text; None if there is none, or if it is more than one value."""
    if isinstance(value, str):
        return check_text(value, "a tag", where) or None
    number = isinstance(value, int | float) and math.isfinite(value)
    return str(value) if number else None


def audio_path(value: str | None, name: str, where: str) -> str:
    """Return the path of a recording.

    Raises:
        RowError: the value is not a path.
    """
    if not value:
        raise RowError(where, "row_value", f"{name!r} is empty")
    if url := _URL.match(value):
        fix = "write the path alone" if url[1].lower() == "file" else "download the recordings and write their paths"
        raise RowError(
            where,
            "row_value",
            f"{name!r} is a URL, {shown(value)}",
            fix=f"'shards build' reads files of this machine: {fix}",
        )
    parts = value.encode().split(b"/") if len(value) > _MAX_NAME_BYTES // 4 else []
    if sum(map(len, parts)) + len(parts) > _MAX_PATH_BYTES or any(len(part) > _MAX_NAME_BYTES for part in parts):
        raise RowError(where, "row_value", f"{name!r} is longer than a path can be: {shown(value)}")
    return value


def language(value: str | None, name: str, where: str, given: str | None = None) -> str:
    """Return the code of a language, however it is written.

    Args:
        given: the language of all rows that name none. It decides where a row's may be several, as `zh`.

    Raises:
        RowError: it is unknown or ambiguous.
    """
    _check_short(value, name, where)
    try:
        return resolve_language(value or given or "")
    except LanguageError as error:
        if given in error.candidates:
            return given
        raise RowError(where, "row_value", error.found, fix=error.fix) from error


def split(value: str | None, name: str, where: str) -> str | None:
    """Return a split; None if there is none.

    Raises:
        RowError: it is unknown.
    """
    _check_short(value, name, where)
    try:
        return parse_split(value) if value else None
    except ShardsError as error:
        raise RowError(where, "row_value", error.found, fix=error.fix) from error


def _number(value: object) -> float:
    try:
        return math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def shown(value: object) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def _check_short(value: str | None, name: str, where: str) -> None:
    if len(value or "") > _SHOWN_CHARACTERS:
        raise RowError(where, "row_value", f"{name!r} is {shown(value)}, which is too long")
