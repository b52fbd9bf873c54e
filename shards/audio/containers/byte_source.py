"""Random access to the bytes of a recording, in a file or in memory, and byte ranges of it as file objects."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Protocol

_BLOCK_BYTES = 1 << 16


class ByteSource(Protocol):
    """Random access to bytes. `name`: the name of the file they are in; empty if they have none."""

    size: int
    name: str

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset`; fewer at the end."""
        ...

    def find(self, wanted: bytes, start: int) -> int:
        """Return the offset of `wanted` at or after `start`; -1 if it is not found."""
        ...

    def close(self) -> None: ...


class MemorySource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.name = ""

    def at(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def find(self, wanted: bytes, start: int) -> int:
        return self._data.find(wanted, start)

    def close(self) -> None: ...


class FileSource:
    """Bytes of a file; small reads are served from a buffered block."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size
        self.name = path.name
        self._block = b""
        self._block_start = 0

    def at(self, offset: int, count: int) -> bytes:
        first = offset - self._block_start
        if first >= 0 and first + count <= len(self._block):
            return self._block[first : first + count]
        if count >= _BLOCK_BYTES:
            return self._read(offset, count)
        self._block, self._block_start = self._read(offset, _BLOCK_BYTES), offset
        return self._block[:count]

    def find(self, wanted: bytes, start: int) -> int:
        overlap = len(wanted) - 1
        while start + overlap < self.size:
            found = self._read(start, _BLOCK_BYTES * 16 + overlap).find(wanted)
            if found >= 0:
                return start + found
            start += _BLOCK_BYTES * 16
        return -1

    def _read(self, offset: int, count: int) -> bytes:
        data = os.pread(self._descriptor, count, offset)
        # One read may return fewer bytes than requested, for example on a network file system.
        while len(data) < count and (more := os.pread(self._descriptor, count - len(data), offset + len(data))):
            data += more
        return data

    def close(self) -> None:
        os.close(self._descriptor)


class RangeSource:
    """A byte range of another source, such as a member of an archive."""

    def __init__(self, source: ByteSource, start: int, size: int) -> None:
        self._source = source
        self._start = start
        self.size = max(0, min(size, source.size - start))
        self.name = ""

    def at(self, offset: int, count: int) -> bytes:
        return self._source.at(self._start + offset, max(0, min(count, self.size - offset)))

    def find(self, wanted: bytes, start: int) -> int:
        found = self._source.find(wanted, self._start + start) - self._start
        return found if 0 <= found <= self.size - len(wanted) else -1

    def close(self) -> None:
        self._source.close()


class Stretch:
    """A byte range of a source as a file object for libsndfile.

    Args:
        head: replaces the first bytes of the range.
        endless: report a very large length, so that libsndfile's own length estimate cannot stop it early.
    """

    _ENDLESS_BYTES = 1 << 40
    # MP3 decoders look for a tag in the last bytes of the file before decoding.
    _TAIL_BYTES = 128

    def __init__(self, source: ByteSource, start: int, stop: int, *, head: bytes = b"", endless: bool = False) -> None:
        self._source = source
        self._start = start
        self._head = head
        self._size = stop - start
        self._reported_size = self._ENDLESS_BYTES if endless else self._size
        self._endless = endless
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._reported_size}[whence]
        self._position = min(max(base + offset, 0), 1 << 62)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _next(self, count: int) -> bytes:
        if self._endless and self._position >= self._reported_size - self._TAIL_BYTES:
            return bytes(min(count, max(self._reported_size - self._position, 0)))
        count = min(count, self._size - self._position)
        if count <= 0:
            return b""
        head = self._head[self._position : self._position + count]
        if len(head) == count:
            return head
        return head + self._source.at(self._start + self._position + len(head), count - len(head))
