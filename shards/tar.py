"""Where the samples of a tar lie, and the members of one sample from its bytes alone."""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from shards.errors import ShardsError, TruncatedShardError

BLOCK_BYTES = 512
_REGULAR = (0x30, 0x00)  # typeflag of an ordinary file in ustar, and in the older format
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """All members of one sample in a tar: headers, data and padding. `offset` and `size` in bytes."""

    key: str
    offset: int
    size: int
    extensions: tuple[str, ...]


def split_name(name: str) -> tuple[str, str]:
    """`(key, extension)` as webdataset cuts a member's name: at the first dot after the last slash."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()


def members_of(span: bytes) -> dict[str, memoryview]:
    """Extension to data of one sample; plain ustar headers are parsed here, others by `tarfile`.

    Raises:
        ValueError: if the bytes are not whole tar members.
    """
    view = memoryview(span)
    members: dict[str, memoryview] = {}
    offset, end = 0, len(span)
    while offset < end:
        if end - offset < BLOCK_BYTES or span[offset + 156] not in _REGULAR or span[offset + 124] & 0x80:
            return _members_by_tarfile(span)
        name = span[offset : span.index(0, offset, offset + 101) if span[offset + 99] == 0 else offset + 100]
        size = int(span[offset + 124 : offset + 135].rstrip(b" \0") or b"0", 8)
        first = offset + BLOCK_BYTES
        if first + size > end:
            raise ValueError("a member ends after its sample")
        members[split_name(name.decode("utf-8"))[1]] = view[first : first + size]
        offset = first + -(-size // BLOCK_BYTES) * BLOCK_BYTES
    return members


def _members_by_tarfile(span: bytes) -> dict[str, memoryview]:
    """As `members_of`, for members with pax or GNU extension headers."""
    members: dict[str, memoryview] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(span), mode="r:") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is not None:
                    members[split_name(member.name)[1]] = memoryview(stream.read())
    except tarfile.TarError as error:
        raise ValueError(str(error)) from error
    return members


def scan(path: Path) -> list[Span]:
    """The samples of an uncompressed tar, in order.

    Raises:
        TruncatedShardError: if it ends within a member, or without the zero block that closes a tar; a tar that is cut
            exactly between two samples is found by the latter.
        ShardsError: if it is not a tar, or if a sample's members do not follow each other.
    """
    bytes_found = path.stat().st_size
    spans: list[Span] = []
    seen: set[str] = set()
    end = 0
    try:
        with tarfile.open(path, mode="r:") as archive:
            for member in archive:
                start, end = member.offset, member.offset_data + -(-member.size // BLOCK_BYTES) * BLOCK_BYTES
                if not member.isreg():
                    continue
                key, extension = split_name(member.name)
                if spans and spans[-1].key == key:
                    last = spans[-1]
                    spans[-1] = Span(key, last.offset, end - last.offset, (*last.extensions, extension))
                elif key in seen:
                    raise ShardsError(
                        f"shard {path}: the members of sample {key!r} do not follow each other; write the tar again "
                        "with its names sorted ('tar --sort=name')"
                    )
                else:
                    seen.add(key)
                    spans.append(Span(key, start, end - start, (extension,)))
    except tarfile.TarError as error:
        if bytes_found < end or spans:
            raise _cut_short(path, bytes_found, max(end, bytes_found) + 2 * BLOCK_BYTES) from error
        raise ShardsError(f"shard {path} is not an uncompressed tar ({error}); unpack .tar.gz first") from error
    with open(path, "rb") as stream:
        stream.seek(end)
        closing = stream.read(BLOCK_BYTES)
    if bytes_found < end + BLOCK_BYTES or closing.strip(b"\0"):
        raise _cut_short(path, bytes_found, end + 2 * BLOCK_BYTES)
    return spans


def _cut_short(path: Path, bytes_found: int, bytes_expected: int) -> TruncatedShardError:
    return TruncatedShardError(
        str(path),
        bytes_found=bytes_found,
        bytes_expected=bytes_expected,
        mend="(at least, with the block that closes every tar): it was cut short; fetch or write it again",
    )


def span_checksum(descriptor: int, span: Span) -> int:
    """CRC-32 of a sample's bytes."""
    checksum, offset, left = 0, span.offset, span.size
    while left:
        chunk = os.pread(descriptor, min(left, _CHUNK_BYTES), offset)
        if not chunk:
            raise EOFError
        checksum = zlib.crc32(chunk, checksum)
        offset, left = offset + len(chunk), left - len(chunk)
    return checksum
