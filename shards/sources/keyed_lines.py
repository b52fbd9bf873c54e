"""Look up the lines of one file while another, sorted alike, is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from shards.sources.rows import RowError, check_text, decode_text
from shards.sources.text_lines import TextLines

Value = TypeVar("Value")


class KeyedLines(Generic[Value]):
    """The lines of a file by the keys they have.

    The files of a Kaldi folder, and Lhotse's recordings and supervisions, are sorted by the same keys. So a file is
    only read as far as the last key looked up, and few lines have to be kept. Keys are found in any other order too, at
    the cost of memory and of reading the file again.

    Args:
        lines: returns keys and values from the beginning; an error in place of a bad value.
        limit: how many values are kept to be looked up again, at first.
    """

    def __init__(self, lines: Callable[[], Iterable[tuple[str, Value | RowError]]], limit: int = 10_000) -> None:
        self._opened = lines
        self._lines = iter(lines())
        self._limit = limit
        self._ahead: dict[str, Value | RowError] = {}
        self._again: dict[str, Value | RowError] = {}
        self._forgot = False

    def get(self, key: str, *, keep: bool = False) -> Value | None:
        """Return the value of a key; None if the file has no such key.

        Args:
            keep: the key will be looked up again.

        Raises:
            RowError: the value is bad.
        """
        wanted = self._again.get(key)
        if wanted is None:
            wanted = self._next(key)
            if wanted is not None and keep:
                self._keep(key, wanted)
        if isinstance(wanted, RowError):
            raise wanted
        return wanted

    def _next(self, key: str) -> Value | RowError | None:
        """Return the value of a key that is not kept, reading on as far as needed."""
        while key not in self._ahead:
            for found, value in self._lines:
                self._ahead.setdefault(found, value)
                if found == key:
                    break
            else:
                if not self._forgot:
                    return None
                # It may have been forgotten. Files in such an order need to be kept longer.
                self._forgot = False
                self._limit *= 8
                self._ahead.clear()
                self._lines = iter(self._opened())
        return self._ahead.pop(key)

    def _keep(self, key: str, value: Value | RowError) -> None:
        self._again[key] = value
        if len(self._again) > self._limit:
            del self._again[next(iter(self._again))]
            self._forgot = True

    def rest(self) -> Iterator[str]:
        """Yield the keys that were not looked up."""
        yield from self._ahead
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
