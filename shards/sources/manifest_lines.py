"""Parse the lines of a manifest to fields by name: tab-separated values with a header, or JSON objects."""

from __future__ import annotations

import codecs
import csv
import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from shards.errors import SourceError
from shards.file_content import stand_in_of
from shards.sources.rows import RowError, decode_text
from shards.wording import printable

_UNCLOSED = 'a field begins with " and does not end with it, and other lines have whole fields in double quotes'
_UNCLOSED_FIX = 'close it on its line, and write a " within it twice'

_ARRAY_FIX = "split an array into lines with: jq -c '.[]' FILE > manifest.jsonl"

# A line number, and the fields of the line or the error in it.
Line = tuple[int, dict[str, Any] | RowError]


def raw_lines(path: Path) -> list[bytes]:
    r"""Read the lines of a manifest, ended by `\n`, `\r\n` or `\r`, without a byte order mark.

    Raises:
        SourceError: the file cannot be read or is not text in UTF-8.
    """
    shown = printable(str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"manifest {shown} cannot be read: {error.strerror or error}") from error
    if data and (instead := stand_in_of(data, path.parent)):
        raise SourceError(f"manifest {shown} {instead.found}", fix=instead.fix)
    if path.name.startswith("._"):
        raise SourceError(
            f"manifest {shown} is a macOS metadata file (AppleDouble)", fix=f"use {path.name[2:]} instead"
        )
    for magic, kind in ((b"\x1f\x8b", "compressed with gzip"), (b"PK\x03\x04", "a ZIP archive or a spreadsheet")):
        if data.startswith(magic):
            raise SourceError(f"manifest {shown} is {kind}, expected text", fix="unpack it, or save it as .tsv")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in data[:4]:
        target = shlex.quote(f"utf8-{printable(path.name)}")
        raise SourceError(
            f"manifest {shown} is UTF-16, or not text, expected UTF-8",
            fix=f"convert it: iconv -f UTF-16 -t UTF-8 {shlex.quote(shown)} > {target}",
        )
    return data.removeprefix(codecs.BOM_UTF8).splitlines()


def tsv_header(lines: list[bytes], where: str) -> list[str]:
    """Return the names of the columns.

    Raises:
        SourceError: the names are not UTF-8, or one is given twice.
    """
    try:
        header = _fields(decode_text(lines[0], where), quoted=b'"' in lines[0]) if lines else []
    except csv.Error as error:
        raise SourceError(
            f'{where}: a column name begins with " and does not end with it', fix='remove the "'
        ) from error
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{where}: column {twice!r} is given twice", fix="remove one of them, or rename it")
    return header


def tsv_lines(lines: list[bytes], header: list[str], path: Path) -> Iterator[Line]:
    """Yield every line below the header that is not blank, in order."""
    decoded = [(number, _decoded(line, f"{path}:{number}")) for number, line in enumerate(lines[1:], start=2)]
    text_column = header.index("text")
    texts = (line for _, line in decoded if isinstance(line, str))
    quoted = b'"' in lines[0] or _quotes_enclose_fields(texts, text_column)
    rests = _lines_without_tab(decoded) if text_column == len(header) - 1 else {}
    for number, line in decoded:
        if isinstance(line, RowError):
            yield number, line
            continue
        where = f"{path}:{number}"
        try:
            fields = _fields(line, quoted=quoted)
        except csv.Error:
            yield number, RowError(where, "row_fields", _UNCLOSED, fix=_UNCLOSED_FIX)
            continue
        if not any(field.strip() for field in fields):
            continue
        if len(fields) == len(header):
            if number in rests:
                found = f"line {rests[number]} has no tab and may be the rest of this text"
                yield number, RowError(where, "row_fields", found, fix="write a text on one line")
                continue
            yield number, dict(zip(header, fields, strict=True))
            continue
        found = f"{len(fields)} tab-separated {'field' if len(fields) == 1 else 'fields'}, the header has {len(header)}"
        hint = "a field in double quotes must end on its line" if '"' in line else None
        yield number, RowError(where, "row_fields", found, fix=hint)


def _lines_without_tab(lines: Iterable[tuple[int, str | RowError]]) -> dict[int, int]:
    """Return the lines with only one field, by the number of the last line before them that is not blank."""
    found: dict[int, int] = {}
    previous = 0
    for number, line in lines:
        if isinstance(line, str) and not line.strip():
            continue
        if isinstance(line, str) and "\t" not in line:
            found[previous] = number
        previous = number
    return found


def jsonl_lines(lines: list[bytes], path: Path) -> Iterator[Line]:
    """Yield every line that is not blank, in order."""
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        text = _decoded(line, where)
        if isinstance(text, RowError):
            yield number, text
            continue
        if not text.strip():
            continue
        try:
            fields = json.loads(text, object_pairs_hook=_each_key_once)
        except RecursionError:
            yield number, RowError(where, "row_json", "objects or lists within each other, far too deep")
            continue
        except _KeyTwiceError as error:
            yield number, RowError(where, "row_json", f"key {error.key!r} is given twice", fix="leave one of them out")
            continue
        except ValueError as error:
            fix = f"; {_ARRAY_FIX}" if text.lstrip().startswith("[") else ""
            yield number, RowError(where, "row_json", f"not JSON: {error}", fix=f"expected one object per line{fix}")
            continue
        if isinstance(fields, dict):
            yield number, fields
        else:
            found = 'expected one object per line, as {"audio": …, "text": …, "lang": …}'
            yield number, RowError(where, "row_json", found, fix=_ARRAY_FIX if isinstance(fields, list) else None)


class _KeyTwiceError(ValueError):
    """An object gives a key twice. The json module would silently keep the last."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _KeyTwiceError(key)
        found[key] = value
    return found


def _decoded(line: bytes, where: str) -> str | RowError:
    try:
        return decode_text(line, where)
    except RowError as error:
        return error


def _fields(line: str, *, quoted: bool) -> list[str]:
    """Split a line into fields.

    Raises:
        csv.Error: a quoted field does not end with a quote.
    """
    if not quoted or '"' not in line:
        return line.split("\t")
    return next(csv.reader([line], delimiter="\t", strict=True), [])


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
            fields = _fields(line, quoted=True)
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
