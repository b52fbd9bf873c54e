"""Samples in tars: split member names into key and extension, and parse the members of one sample from its bytes."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass

from shards.tars.headers import BLOCK_BYTES, HeaderError, content, read_member

_REGULAR = (0x30, 0x00)  # typeflag of an ordinary file in ustar, and in the older format
_CHUNK_BYTES = 1 << 20
# Left in tars by other programs: Apple's resource forks, pax headers unpacked as files, webdataset's own metadata.
_FOREIGN_FOLDER = re.compile(r"(.*[/\\])?(__MACOSX|PaxHeaders?(\.\d+)?)[/\\]|__[^/]*__/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Span:
    """All members of one sample in a tar, with headers, data and padding. `offset` and `size` in bytes.

    `links` are members without data of their own, as `<name> -> <target>`.
    """

    key: str
    offset: int
    size: int
    extensions: tuple[str, ...]
    links: tuple[str, ...] = ()


def split_name(name: str) -> tuple[str, str] | None:
    """Return `(key, extension)` as webdataset splits a member's name: at the first dot after the last slash.

    None if the member does not belong to a sample: `README`, `.DS_Store`, `._clip.wav` and similar. A backslash counts
    as a slash, since some Windows programs use it for folders.
    """
    start = max(name.rfind("/"), name.rfind("\\")) + 1
    stem, dot, extension = name[start:].partition(".")
    if not stem or not dot or (("__" in name or "Pax" in name) and _FOREIGN_FOLDER.match(name)):
        return None
    return name[:start] + stem, extension.lower()


def members_of(span: bytes) -> dict[str, memoryview]:
    """Return the data of one sample by extension. Plain headers are parsed here, others by `read_member`.

    Raises:
        ValueError: the bytes are not complete tar members.
    """
    view = memoryview(span)
    members: dict[str, memoryview] = {}
    offset, end = 0, len(span)
    while offset < end:
        digits = span[offset + 124 : offset + 135].strip(b" \0")
        plain = end - offset >= BLOCK_BYTES and span[offset + 156] in _REGULAR and not span[offset + 345]
        if not plain or not digits.isdigit():
            return _members_by_header(span)
        name = span[offset : span.index(0, offset, offset + 101) if span[offset + 99] == 0 else offset + 100]
        if name.endswith(b"/"):
            return _members_by_header(span)
        size = int(digits, 8)
        first = offset + BLOCK_BYTES
        if first + size > end:
            raise ValueError("a member ends after its sample")
        named = split_name(name.decode("utf-8", "backslashreplace"))
        if named is not None:
            members[named[1]] = view[first : first + size]
        offset = first + -(-size // BLOCK_BYTES) * BLOCK_BYTES
    return members


def _members_by_header(span: bytes) -> dict[str, memoryview]:
    """As `members_of`, for spans that hold long names, pax headers, sparse files, or entries that are not files."""
    members: dict[str, memoryview] = {}

    def read(offset: int, count: int) -> bytes:
        return span[offset : offset + count]

    offset = 0
    while offset < len(span):
        member = read_member(read, offset)
        if member is None:
            raise HeaderError("a block of zeros lies within the sample")
        named = split_name(member.name)
        if member.is_file and named is not None:
            members[named[1]] = memoryview(content(read, member))
        offset = member.end
    return members


def span_checksum(descriptor: int, span: Span) -> int:
    """Return the CRC-32 of a sample's bytes.

    Raises:
        EOFError: the tar ends before the sample does.
    """
    checksum, offset, left = 0, span.offset, span.size
    while left:
        chunk = os.pread(descriptor, min(left, _CHUNK_BYTES), offset)
        if not chunk:
            raise EOFError
        checksum = zlib.crc32(chunk, checksum)
        offset, left = offset + len(chunk), left - len(chunk)
    return checksum
