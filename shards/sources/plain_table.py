"""Read tables whose fields are separated by tabs and never quoted, with a header."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from shards.errors import SourceError
from shards.sources.manifest_columns import listed
from shards.sources.rows import RowError, decode_text
from shards.sources.text_lines import TextLines


class PlainRow(NamedTuple):
    """The number of a line, and its fields by column, or the error in it."""

    number: int
    fields: dict[str, str] | RowError


class PlainTable:
    """A table of tab-separated fields in which a quote is a letter like any other.

    Raises:
        SourceError: the header is not UTF-8.
    """

    def __init__(self, lines: TextLines) -> None:
        self._lines = lines
        self.header = decode_text(lines.first(), lines.where(1)).split("\t")

    def require(self, columns: Collection[str]) -> None:
        """Check that the table has these columns.

        Raises:
            SourceError: it lacks one, or has one twice.
        """
        missing = [name for name in columns if self.header.count(name) != 1]
        if missing:
            what = "twice" if missing[0] in self.header else "no"
            found = f"column {missing[0]!r} is given twice" if what == "twice" else f"no column {missing[0]!r}"
            raise SourceError(f"{self._lines.where(1)}: {found}; found {listed(self.header)}")

    def rows(self) -> Iterator[PlainRow]:
        """Yield every line below the header that is not blank, in order."""
        for number, line in self._lines.decoded(start=2):
            if isinstance(line, RowError):
                yield PlainRow(number, line)
                continue
            if not line.strip():
                continue
            fields = line.split("\t")
            if len(fields) == len(self.header):
                yield PlainRow(number, dict(zip(self.header, fields, strict=True)))
                continue
            found = f"{len(fields)} tab-separated fields, the header has {len(self.header)}"
            yield PlainRow(number, RowError(self._lines.where(number), "row_fields", found))


def read_header_line(path: Path) -> str:
    """Return the first line of a table; empty if it cannot be read. For `Source.recognises`."""
    try:
        return TextLines(path, "table").first().decode("utf-8", "replace")
    except SourceError:
        return ""


def first_fields(path: Path) -> list[str]:
    """Return the fields of a table's first line. For `Source.recognises`."""
    return read_header_line(path).split("\t")
