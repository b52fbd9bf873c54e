"""Read the members of a tar in their order, whether it is compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from shards.errors import SourceError
from shards.wording import printable


def is_compressed(archive: Path) -> bool:
    """Whether a tar is compressed, by its first bytes.

    Raises:
        OSError: it cannot be read.
    """
    return _opener(archive) is not open


class TarReader:
    """Reads the members of a tar, compressed or not, in their order.

    Use as a context manager. Errors of reading become a `SourceError`, within the context too.
    """

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def __enter__(self) -> TarReader:
        with self._errors():
            self._stream = _Tail(_opener(self._archive)(self._archive, "rb"))
            try:
                self._tar = tarfile.open(fileobj=cast("IO[bytes]", self._stream), mode="r|", errorlevel=2)
            except BaseException:
                self._stream.close()
                raise
        return self

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Yield the regular files, without keeping them; then check that the tar is complete."""
        with self._errors():
            while (member := self._tar.next()) is not None:
                cast("Any", self._tar).members = []  # or memory would grow with every member
                if member.isreg():
                    yield member
            # tarfile ends without an error at a damaged header, and where a tar is cut between two members.
            while rest := self._tar.fileobj.read(1 << 16):
                if any(rest):
                    raise tarfile.ReadError("there is data after its end")
            if not self._stream.ended:
                raise tarfile.ReadError("it ends without its end mark")

    def read(self, member: tarfile.TarInfo, target: IO[bytes]) -> None:
        """Copy the content of the member that was yielded last."""
        with self._errors():
            content = self._tar.extractfile(member)
            assert content is not None, "only regular files are yielded"
            shutil.copyfileobj(content, target)

    def __exit__(self, *_: object) -> None:
        self._tar.close()
        self._stream.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        shown = printable(str(self._archive))
        try:
            yield
        except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            found = f"archive {shown} is damaged or incomplete: {error}"
            raise SourceError(found, fix="download it again") from error
        except OSError as error:
            raise SourceError(f"archive {shown} cannot be read: {error.strerror or error}") from error


class _Tail:
    """A file object for tarfile that knows whether the end was that of a tar: two blocks of zeros."""

    _END_BYTES = 1024

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._tail = b""

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._tail = (self._tail + data[-self._END_BYTES :])[-self._END_BYTES :]
        return data

    @property
    def ended(self) -> bool:
        return len(self._tail) == self._END_BYTES and not any(self._tail)

    def close(self) -> None:
        self._stream.close()


def _opener(archive: Path) -> Callable[..., IO[bytes]]:
    with open(archive, "rb") as file:
        head = file.read(6)
    openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
    return next((opener for magic, opener in openers.items() if head.startswith(magic)), open)
