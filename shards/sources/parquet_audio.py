"""Recordings in the cells of parquet files, read one after another so that few are in memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from shards.audio.containers.byte_source import ByteSource, MemorySource
from shards.errors import SourceError
from shards.sources.audio_reference import AudioFile, AudioState, Neighbours
from shards.sources.data_file import DataFile

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ParquetAudio:
    """A recording in a cell. `column` is the path of the column, such as `audio.bytes`; rows count from 0."""

    file: DataFile
    column: str
    row_group: int
    row: int

    @property
    def neighbours(self) -> Neighbours:
        """The cells of a row group lie in its order and are compressed together."""
        return Neighbours(f"{self.file.name}|{self.row_group}", self.row)

    def check(self) -> AudioState:
        """Look at the file alone: the cell is known to have a value."""
        return AudioState() if self.file.path is None else AudioFile(self.file.path).check()

    def stamp(self) -> bytes:
        """Return what changes with the file, and the cell."""
        return self.file.stamp() + f"|{self.column}|{self.row_group}|{self.row}".encode()

    def open(self) -> ByteSource:
        """Read the cell.

        Raises:
            OSError: the file is damaged there.
            SourceError: the file is not on this machine, and cannot be read now.
        """
        return MemorySource(_cells(self.file, self.column, self.row_group).at(self.row))

    def __str__(self) -> str:
        return f"{self.file} (row group {self.row_group}, row {self.row})"


@functools.lru_cache(maxsize=1)
def _cells(file: DataFile, column: str, row_group: int) -> _Cells:
    """Return the cells of the row group that was read last: the next recording is usually one of them."""
    return _Cells(file, column, row_group)


class _Cells:
    """Reads cells forwards; a row before the last one begins again."""

    def __init__(self, file: DataFile, column: str, row_group: int) -> None:
        self._file = file
        self._column = column
        self._row_group = row_group
        self._next = 0
        self._rows: Iterator[Any] = iter(())
        self._failed: tuple[int, OSError | SourceError] | None = None

    def at(self, row: int) -> bytes:
        """Return the bytes in a row."""
        if self._failed is not None and row >= self._failed[0]:
            raise self._failed[1]
        try:
            if not self._next or row < self._next:
                self._rows, self._next = self._opened(), 0
            while True:
                batch = next(self._rows)
                self._next += 1
                if self._next > row:
                    return cell_bytes(batch.column(0))
        except StopIteration:
            error: OSError | SourceError = OSError(f"{self._file} has no row {row} in row group {self._row_group}")
        except Exception as caught:  # pyarrow's errors, and those of the file systems, have no common base
            error = self._error(caught)
        self._failed = (self._next, error)
        raise error

    def _opened(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(self._file.readable(whole=True), pre_buffer=False, buffer_size=_BUFFER_BYTES)
        batches: Iterator[Any] = file.iter_batches(1, [self._row_group], [self._column], use_threads=False)
        return batches

    def _error(self, error: Exception) -> OSError | SourceError:
        found = self._file.unreadable(error, f" in row group {self._row_group}")
        # The network may be back later, so then no recording is counted as damaged.
        return found if self._file.path is None else OSError(found.found)


def cell_bytes(array: Any) -> bytes:
    """Return the only value of an array as bytes: binary, a list of 8-bit integers, or a structure that holds one."""
    import pyarrow as pa

    while pa.types.is_struct(array.type):
        array = array.field(0)
    if not array[0].is_valid:
        return b""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return array[0].values.to_numpy(zero_copy_only=False).astype(np.uint8).tobytes()
    return array[0].as_py()
