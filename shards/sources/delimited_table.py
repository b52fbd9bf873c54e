"""Read tables with a header and a separator between their fields: tabs, commas, semicolons or bars."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from shards.errors import SourceError
from shards.sources.rows import RowError, decode_text
from shards.sources.text_lines import TextLines

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
# A field in quotes may have this many lines; a missing quote then costs no more.
_MAX_FIELD_LINES = 50
_UNCLOSED = 'a field begins with " and does not end with it, and other lines have whole fields in double quotes'
_UNCLOSED_CSV = 'a field begins with " and does not end with it'
_UNCLOSED_FIX = 'close it on its line, and write a " within it twice'
_UNCLOSED_CSV_FIX = 'write it in double quotes, and a " within it twice'

# A line number, and the fields of the line or the error in it.
Line = tuple[int, dict[str, Any] | RowError]
Fields = tuple[int, list[str] | RowError]


class DelimitedTable:
    """A table with the names of its columns in the first line.

    Raises:
        SourceError: the names are not UTF-8, or one is given twice.
    """

    def __init__(self, lines: TextLines, given: Mapping[str, str]) -> None:
        self._lines = lines
        where = lines.where(1)
        first = lines.first()
        text = decode_text(first, where)
        self.separator = _separator(text, lines.path.suffix.lower())
        try:
            header = _split(text, self.separator) if first else []
        except csv.Error as error:
            raise SourceError(
                f'{where}: a column name begins with " and does not end with it', fix='remove the "'
            ) from error
        # Columns given by number mean that there is no header.
        self._numbered = bool(given) and all(name.isdecimal() for name in given.values())
        self._numbered &= not set(given.values()) <= set(header)
        self.header = [str(number + 1) for number in range(len(header))] if self._numbered else header
        twice = next((name for name in self.header if name and self.header.count(name) > 1), None)
        if twice is not None:
            raise SourceError(f"{where}: column {twice!r} is given twice", fix="remove one of them, or rename it")
        self._quoted_header = b'"' in first

    def rows(self, text_column: str) -> Iterator[Line]:
        """Yield every line below the header that is not blank, in order."""
        start = 1 if self._numbered else 2
        decoded = self._lines.decoded(start=start)
        text = self.header.index(text_column)
        if self.separator == "\t":
            quoted = self._quoted_header or _quotes_enclose_fields(
                (line for _, line in self._lines.decoded(start=start) if isinstance(line, str)), text
            )
            lines = self._one_line_each(decoded, quoted=quoted)
            if text == len(self.header) - 1:
                lines = self._without_rests(lines)
        else:
            lines = self._records(decoded)
        for number, fields in lines:
            if isinstance(fields, list) and len(fields) != len(self.header):
                yield number, self._wrong_number(number, fields)
            elif isinstance(fields, list):
                yield number, dict(zip(self.header, fields, strict=True))
            else:
                yield number, fields

    def _one_line_each(self, lines: Iterable[tuple[int, str | RowError]], *, quoted: bool) -> Iterator[Fields]:
        """Split lines whose fields do not contain the end of a line."""
        for number, line in lines:
            if isinstance(line, RowError):
                yield number, line
                continue
            try:
                fields = _split(line, self.separator) if quoted else line.split(self.separator)
            except csv.Error:
                yield number, RowError(self._lines.where(number), "row_fields", _UNCLOSED, fix=_UNCLOSED_FIX)
                continue
            if any(field.strip() for field in fields):
                yield number, fields

    def _without_rests(self, lines: Iterable[Fields]) -> Iterator[Fields]:
        """Replace a line by an error if the next has one field only: it may be the rest of the last field's text."""
        previous: Fields | None = None
        for following in lines:
            if previous is not None:
                number, fields = previous
                whole = isinstance(fields, list) and len(fields) == len(self.header)
                if whole and isinstance(following[1], list) and len(following[1]) == 1:
                    found = f"line {following[0]} has no tab and may be the rest of this text"
                    fields = RowError(self._lines.where(number), "row_fields", found, fix="write a text on one line")
                yield number, fields
            previous = following
        if previous is not None:
            yield previous

    def _records(self, lines: Iterable[tuple[int, str | RowError]]) -> Iterator[Fields]:
        """Split lines with quotes as in RFC 4180: a field in quotes may contain the separator and ends of lines."""
        waiting = iter(lines)
        ahead: list[tuple[int, str | RowError]] = []
        while ahead or (ahead := list(itertools.islice(waiting, 1))):
            number, line = ahead.pop(0)
            if isinstance(line, RowError):
                yield number, line
                continue
            taken = 0
            fields = self._record(line)
            while fields is None and taken < _MAX_FIELD_LINES:
                if taken == len(ahead):
                    ahead += itertools.islice(waiting, 1)
                if taken == len(ahead) or isinstance(ahead[taken][1], RowError):
                    break
                line = f"{line}\n{ahead[taken][1]}"
                taken += 1
                fields = self._record(line)
            if fields is None:
                where = self._lines.where(number)
                yield number, RowError(where, "row_fields", _UNCLOSED_CSV, fix=_UNCLOSED_CSV_FIX)
                continue
            del ahead[:taken]
            if any(field.strip() for field in fields):
                yield number, fields

    def _record(self, text: str) -> list[str] | None:
        """Split the text of one record; None if a quoted field does not end in it."""
        try:
            return _split(text, self.separator)
        except csv.Error:
            return None

    def _wrong_number(self, number: int, fields: list[str]) -> RowError:
        separated = {"\t": "tab-separated", ",": "comma-separated", ";": "semicolon-separated"}
        kind = separated.get(self.separator, "bar-separated")
        found = f"{len(fields)} {kind} {'field' if len(fields) == 1 else 'fields'}, the header has {len(self.header)}"
        hint = None
        if any('"' in field for field in fields) and self.separator == "\t":
            hint = "a field in double quotes must end on its line"
        elif len(fields) > len(self.header) and self.separator != "\t":
            hint = f"write a field that contains a {SEPARATORS[self.separator]} in double quotes"
        return RowError(self._lines.where(number), "row_fields", found, fix=hint)


def _separator(header: str, suffix: str) -> str:
    """Return the separator that gives a header the most columns; in a .tsv, tabs if it has any."""
    if suffix == ".tsv" and "\t" in header:
        return "\t"
    counts = {}
    for separator in SEPARATORS:
        try:
            counts[separator] = len(_split(header, separator))
        except csv.Error:
            counts[separator] = 0
    return max(counts, key=lambda separator: counts[separator])  # the first of equals: a tab


def _split(line: str, separator: str) -> list[str]:
    """Split a line into fields, and remove the quotes around fields.

    Raises:
        csv.Error: a quoted field does not end with a quote.
    """
    if '"' not in line:
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator, strict=True), [])


def _quotes_enclose_fields(lines: Iterable[str], text_column: int) -> bool:
    """Whether double quotes enclose fields, as spreadsheet programs write them, or are part of the text.

    They enclose fields if a field other than the text is enclosed, or a tab is between the quotes. If only texts have
    quotes, they enclose fields if every text with a quote is enclosed.
    """
    enclosed = letters = False
    for line in lines:
        if '"' not in line:
            continue
        plain = line.split("\t")
        try:
            fields = _split(line, "\t")
        except csv.Error:
            letters = True
            continue
        if len(fields) != len(plain):
            return True
        differ = [number for number, (one, other) in enumerate(zip(fields, plain, strict=True)) if one != other]
        if any(number != text_column for number in differ):
            return True
        enclosed |= bool(differ)
        letters |= not differ
    return enclosed and not letters
