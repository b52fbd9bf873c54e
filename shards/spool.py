"""Keep items outside of memory, grouped by a key, so that one group can be read at a time."""

from __future__ import annotations

import pickle
import tempfile
import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

from shards.errors import StorageError

# Items that wait in memory to be written, whatever their keys.
_WAITING_ITEMS = 32_768
# Less than this is never written to a disk.
_MEMORY_BYTES = 16 << 20

Item = TypeVar("Item")


class Spool(Generic[Item]):
    """Items by key, in the order in which they were added; the keys are in the order of their first items.

    What does not fit into a few MiB is in an unnamed file in the temporary directory (`TMPDIR`). The system removes it
    with the process, however that ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)
        self._chunks: dict[str, list[tuple[int, int]]] = {}
        self._waiting: dict[str, list[Item]] = {}
        self._waiting_items = 0

    def add(self, key: str, item: Item) -> None:
        """Add an item that can be pickled.

        Raises:
            StorageError: the temporary directory cannot be written to.
        """
        self._waiting.setdefault(key, []).append(item)
        self._waiting_items += 1
        if self._waiting_items >= _WAITING_ITEMS:
            self._write()

    def _write(self) -> None:
        try:
            place = self._file.seek(0, 2)
            for key, items in self._waiting.items():
                data = pickle.dumps(items, pickle.HIGHEST_PROTOCOL)
                self._file.write(data)
                self._chunks.setdefault(key, []).append((place, len(data)))
                place += len(data)
        except OSError as error:
            raise StorageError(
                f"the rows of the source cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}",
                fix="set TMPDIR to a folder on a disk with more space, about 1 KiB for each utterance",
            ) from error
        self._waiting = {}
        self._waiting_items = 0

    def items(self, key: str) -> Iterator[Item]:
        """Yield the items of a key; none if it has none."""
        if self._waiting_items:
            self._write()
        for place, length in self._chunks.get(key, ()):
            self._file.seek(place)
            yield from pickle.loads(self._file.read(length))

    def __iter__(self) -> Iterator[Item]:
        for key in [*self._chunks, *(key for key in self._waiting if key not in self._chunks)]:
            yield from self.items(key)
