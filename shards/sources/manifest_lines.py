"""Parse the lines of a manifest to fields by name: tab-separated values with a header, or JSON objects."""

from __future__ import annotations

import codecs
import csv
import json
import shlex
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from shards.errors import SourceError
from shards.file_content import HEAD_BYTES, stand_in_of
from shards.sources.rows import RowError, decode_text
from shards.wording import printable

_UNCLOSED = 'a field begins with " and does not end with it, and other lines have whole fields in double quotes'
_UNCLOSED_FIX = 'close it on its line, and write a " within it twice'

_ARRAY_FIX = "split an array into lines with: jq -c '.[]' FILE > manifest.jsonl"

_BLOCK_BYTES = 1 << 20

# A line number, and the fields of the line or the error in it.
Line = tuple[int, dict[str, Any] | RowError]


class ManifestFile:
    r"""The lines of a manifest, ended by `\n`, `\r\n` or `\r`, without a byte order mark.

    They are read anew by every iteration, so that a manifest of any length takes no memory. A pipe is copied to a
    temporary file first.

    Raises:
        SourceError: the file cannot be read or is not text in UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._stream: IO[bytes] = open(path, "rb")  # noqa: SIM115 - read by every iteration
            weakref.finalize(self, self._stream.close)
            if not self._stream.seekable():
                with self._stream as pipe:
                    self._stream = tempfile.TemporaryFile()  # noqa: SIM115
                    weakref.finalize(self, self._stream.close)
                    shutil.copyfileobj(pipe, self._stream)
                self._stream.seek(0)
            head = self._stream.read(HEAD_BYTES)
        except OSError as error:
            raise self._unreadable(error) from error
        _check_head(path, head)
        self._start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        place = self._start
        while True:
            try:
                self._stream.seek(place)
                block = self._stream.read(max(_BLOCK_BYTES, len(rest)))
            except OSError as error:
                raise self._unreadable(error) from error
            place += len(block)
            *lines, rest = (rest + block).splitlines(keepends=True) or [b""]
            for line in lines:
                yield line.rstrip(b"\r\n")
            if not block:
                break
        if rest:
            yield rest.rstrip(b"\r\n")

    def _unreadable(self, error: OSError) -> SourceError:
        return SourceError(f"manifest {printable(str(self._path))} cannot be read: {error.strerror or error}")


def _check_head(path: Path, data: bytes) -> None:
    """Check the first bytes of a manifest.

    Raises:
        SourceError: it is not text in UTF-8.
    """
    shown = printable(str(path))
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


def tsv_header(lines: Iterable[bytes], where: str) -> list[str]:
    """Return the names of the columns.

    Raises:
        SourceError: the names are not UTF-8, or one is given twice.
    """
    try:
        first = next(iter(lines), b"")
        header = _fields(decode_text(first, where), quoted=b'"' in first) if first else []
    except csv.Error as error:
        raise SourceError(
            f'{where}: a column name begins with " and does not end with it', fix='remove the "'
        ) from error
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{where}: column {twice!r} is given twice", fix="remove one of them, or rename it")
    return header


def tsv_lines(lines: Iterable[bytes], header: list[str], path: Path) -> Iterator[Line]:
    """Yield every line below the header that is not blank, in order. Reads the lines twice."""
    text_column = header.index("text")
    quoted = _quotes_enclose_fields(lines, text_column)
    for number, line, following in _with_following(_numbered(lines, path)):
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
            if following is not None and text_column == len(header) - 1:
                found = f"line {following} has no tab and may be the rest of this text"
                yield number, RowError(where, "row_fields", found, fix="write a text on one line")
                continue
            yield number, dict(zip(header, fields, strict=True))
            continue
        found = f"{len(fields)} tab-separated {'field' if len(fields) == 1 else 'fields'}, the header has {len(header)}"
        hint = "a field in double quotes must end on its line" if '"' in line else None
        yield number, RowError(where, "row_fields", found, fix=hint)


def _numbered(lines: Iterable[bytes], path: Path) -> Iterator[tuple[int, str | RowError]]:
    """Decode every line below the header that is not blank."""
    for number, line in enumerate(lines, start=1):
        decoded = _decoded(line, f"{path}:{number}") if number > 1 else ""
        if isinstance(decoded, RowError) or decoded.strip():
            yield number, decoded


def _with_following(
    lines: Iterator[tuple[int, str | RowError]],
) -> Iterator[tuple[int, str | RowError, int | None]]:
    """Add to each line the number of the next one if that has only one field."""
    last = next(lines, None)
    while last is not None:
        following = next(lines, None)
        single = following is not None and isinstance(following[1], str) and "\t" not in following[1]
        yield *last, following[0] if following is not None and single else None
        last = following


def jsonl_lines(lines: Iterable[bytes], path: Path) -> Iterator[Line]:
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


def _quotes_enclose_fields(lines: Iterable[bytes], text_column: int) -> bool:
    """Whether double quotes enclose fields, as spreadsheet programs write them, or are part of the text.

    They enclose fields if the header has quotes, a field other than the text is enclosed, or a tab is between the
    quotes. If only texts have quotes, they enclose fields if every text with a quote is enclosed.
    """
    enclosed = letters = False
    for number, data in enumerate(lines):
        if b'"' not in data:
            continue
        if number == 0:
            return True
        line = _decoded(data, "")
        if isinstance(line, RowError):
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
