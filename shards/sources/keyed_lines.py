"""Look up the lines of one file while another, sorted alike, is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from shards.sources.rows import RowError, check_text, decode_text
from shards.sources.text_lines import TextLines

Value = TypeVar("Value")


class KeyedLines(Generic[Value]):
    """The lines of a file by the keys they have.

    The files of a Kaldi folder, and Lhotse's recordings and supervisions, are sorted by the same keys. So a file is
    only read as far as the last key looked up, and few lines have to be kept. Keys are found in any other order too, at
    the cost of memory.

    Args:
        lines: keys and values; an error in place of a bad value.
    """

    def __init__(self, lines: Iterable[tuple[str, Value | RowError]]) -> None:
        self._lines = iter(lines)
        self._kept: dict[str, Value | RowError] = {}

    def get(self, key: str, *, keep: bool = False) -> Value | None:
        """Return the value of a key; None if the file has no such key.

        Args:
            keep: the key will be looked up again.

        Raises:
            RowError: the value is bad.
        """
        if key not in self._kept:
            for found, value in self._lines:
                self._kept.setdefault(found, value)
                if found == key:
                    break
        wanted = self._kept.get(key) if keep else self._kept.pop(key, None)
        if isinstance(wanted, RowError):
            raise wanted
        return wanted

    def rest(self) -> Iterator[str]:
        """Yield the keys that were not looked up."""
        yield from self._kept
        for key, _ in self._lines:
            yield key


def keyed(lines: TextLines) -> Iterator[tuple[int, str, str | RowError]]:
    """Yield the number, key and value of every line `key value` that is not blank. A value may be empty."""
    for number, line in lines:
        key, *value = line.split(None, 1)[:2] or [b""]
        if not key:
            continue
        where = lines.where(number)
        name = key.decode("utf-8", "backslashreplace")
        try:
            text = check_text(decode_text(value[0].strip() if value else b"", where), name, where)
        except RowError as error:
            yield number, name, error
        else:
            yield number, name, text
