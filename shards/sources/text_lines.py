"""Read the lines of a table in text form, a block at a time."""

from __future__ import annotations

import codecs
import gzip
import shlex
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from shards.errors import SourceError
from shards.file_content import HEAD_BYTES, detect_archive, detect_placeholder_in
from shards.sources.rows import RowError, decode_text
from shards.wording import printable

_BLOCK_BYTES = 1 << 20
_MAX_LINE_BYTES = 16 << 20


class TextLines:
    r"""The lines of a text file with their numbers, ended by `\n`, `\r\n` or `\r`, without a byte order mark.

    It may be iterated over several times; a pipe is copied to a temporary file first. Lines are not decoded, so that
    one bad line does not hide the others.

    Args:
        noun: what the file is called in messages.
        shown: its name in messages, if that is not the path.
        compressed: it is compressed with gzip if its name ends in .gz.

    Raises:
        SourceError: the file cannot be read or is not text in UTF-8; while iterating, if a line is far too long.
    """

    def __init__(
        self, path: Path, noun: str = "manifest", shown: str | None = None, *, compressed: bool = False
    ) -> None:
        self.path = path
        self._gzip = compressed and path.name.lower().endswith(".gz")
        self.shown = shown or str(path)
        self._name = f"{noun} {printable(self.shown)}"
        self._readable = path
        with self._opened() as stream:
            if not stream.seekable():
                copy = tempfile.NamedTemporaryFile()  # noqa: SIM115 - read by every iteration
                weakref.finalize(self, copy.close)
                shutil.copyfileobj(stream, copy)
                copy.flush()
                self._readable = Path(copy.name)
        with self._opened() as stream, self._whole():
            head = stream.read(HEAD_BYTES)
        if head and (instead := detect_placeholder_in(head, path.parent)):
            raise SourceError(f"{self._name} {instead.found}", fix=instead.fix)
        if path.name.startswith("._"):
            raise SourceError(
                f"{self._name} is a macOS metadata file (AppleDouble)", fix=f"use {path.name[2:]} instead"
            )
        if archive := detect_archive(head):  # a spreadsheet is a ZIP archive
            fix = f"{archive.fix}, or save a spreadsheet as .tsv"
            raise SourceError(f"{self._name} is {archive.name}, expected text", fix=fix)
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
            target = shlex.quote(f"utf8-{printable(path.name)}")
            raise SourceError(
                f"{self._name} is UTF-16, or not text, expected UTF-8",
                fix=f"convert it: iconv -f UTF-16 -t UTF-8 {shlex.quote(printable(str(path)))} > {target}",
            )

    def where(self, number: int) -> str:
        """Return the place of a line, for messages."""
        return f"{self.shown}:{number}"

    def first(self) -> bytes:
        """Return the first line; empty if the file is."""
        return next((line for _, line in self), b"")

    def decoded(self, *, start: int = 1) -> Iterator[tuple[int, str | RowError]]:
        """Yield the lines from number `start` on as text, with an error for those that are not UTF-8."""
        for number, line in self:
            if number < start:
                continue
            try:
                yield number, decode_text(line, self.where(number))
            except RowError as error:
                yield number, error

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        with self._opened() as stream, self._whole():
            if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            number = 0
            rest = b""
            while block := stream.read(_BLOCK_BYTES):
                # The last line may go on in the next block, or its \r may be followed by \n there.
                *lines, rest = (rest + block).splitlines(keepends=True)
                for line in lines:
                    number += 1
                    yield number, line.rstrip(b"\r\n")
                if len(rest) > _MAX_LINE_BYTES:
                    found = f"the line has more than {_MAX_LINE_BYTES >> 20} MiB"
                    raise SourceError(f"{self.where(number + 1)}: {found}", "give every utterance a line of its own")
            if rest:
                yield number + 1, rest.rstrip(b"\r\n")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(
                f"{self._name} is damaged, or not compressed with gzip: {error}", fix="copy or download it again"
            ) from error

    def _opened(self) -> BinaryIO | gzip.GzipFile:
        try:
            return gzip.open(self._readable) if self._gzip else open(self._readable, "rb")
        except OSError as error:
            raise SourceError(f"{self._name} cannot be read: {error.strerror or error}") from error
