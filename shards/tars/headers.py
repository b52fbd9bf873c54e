"""Parse the members of an uncompressed tar in every format in use: v7, ustar, pax and GNU.

Indexing a tar and reading one sample from its bytes both use this parser, so that they see the same members. Python's
`tarfile` silently stops at the first block of zeros and at the first damaged header.

Formats: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html (ustar, pax) and
https://www.gnu.org/software/tar/manual/html_node/Tar-Internals.html (GNU, sparse files).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK_BYTES = 512

# Returns bytes `[offset, offset + count)` of the tar; fewer at its end.
ReadAt = Callable[[int, int], bytes]

_FILES = (b"0", b"\0", b"7", b"S")
_LINKS = (b"1", b"2")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # whatever size their header declares
_PAX = (b"x", b"X")
_PAX_GLOBAL = b"g"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_CHECKSUM = slice(148, 156)
_MAX_EXTENSION_BYTES = 1 << 20
_MAX_SPARSE_BYTES = 1 << 30
_SPARSE_ENTRY_BYTES = 24
_DIGITS = frozenset(b"0123456789")


class HeaderError(ValueError):
    """The bytes at this position are not a member header."""


class HeaderCutShortError(HeaderError):
    """The tar ends before `expected_bytes`, the length its headers declare."""

    def __init__(self, expected_bytes: int) -> None:
        super().__init__(f"it ends before byte {expected_bytes:,}")
        self.expected_bytes = expected_bytes


@dataclass(frozen=True, slots=True)
class Member:
    """One member: `[offset, end)` holds its headers, its data and the padding.

    `is_file`: a regular file, with data. `target`: the target of a link. `size`: bytes of the file. `pieces`: for a
    sparse file, the ranges `(place, bytes)` of it that are stored consecutively, from `data_offset` on.
    """

    name: str
    is_file: bool
    target: str | None
    offset: int
    data_offset: int
    end: int
    size: int
    pieces: tuple[tuple[int, int], ...] | None = None


def read_member(read: ReadAt, offset: int) -> Member | None:
    """Parse the member whose first header is at `offset`; None for a block of zeros, which ends an archive.

    Raises:
        HeaderError: there is no header, or an inconsistent one.
        HeaderCutShortError: the bytes end within the headers. Whether the data is complete is not checked.
    """
    first = offset
    long_name: bytes | None = None
    long_link: bytes | None = None
    records: list[tuple[bytes, bytes]] = []
    while True:
        block = read(offset, BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            raise HeaderCutShortError(offset + BLOCK_BYTES)
        if not block.strip(b"\0"):
            if offset > first:
                raise HeaderError("a long name or pax header without its member")
            return None
        _check_sum(block)
        kind, size = block[156:157], _number(block[124:136])
        offset += BLOCK_BYTES
        if kind == _PAX_GLOBAL:
            offset += _padded(size)
            if long_name is long_link is None and not records:
                first = offset
        elif kind in _PAX or kind in (_LONG_NAME, _LONG_LINK):
            extension = _extension(read, offset, size)
            offset += _padded(size)
            if kind == _LONG_NAME:
                long_name = extension.partition(b"\0")[0]
            elif kind == _LONG_LINK:
                long_link = extension.partition(b"\0")[0]
            else:
                records.extend(_pax_records(extension))
        else:
            return _member(read, first, offset, block, size, long_name, long_link, records)


def content(read: ReadAt, member: Member) -> bytes:
    """Return the data of a file, with the holes of a sparse file filled with zeros.

    Raises:
        HeaderCutShortError: the bytes end before the member does.
    """
    if member.pieces is None:
        return _read_whole(read, member.data_offset, member.size)
    if member.size > _MAX_SPARSE_BYTES:
        raise HeaderError(f"the sparse file {member.name!r} has {member.size:,} bytes")
    whole = bytearray(member.size)
    offset = member.data_offset
    for place, count in member.pieces:
        whole[place : place + count] = _read_whole(read, offset, count)
        offset += count
    return bytes(whole)


def printable_name(name: bytes) -> str:
    """Return a name as text. Bytes that are not UTF-8 become `\\xe9`, so that any file or table can store it."""
    return name.decode("utf-8", "backslashreplace")


def _member(
    read: ReadAt,
    first: int,
    offset: int,
    block: bytes,
    size: int,
    long_name: bytes | None,
    long_link: bytes | None,
    records: list[tuple[bytes, bytes]],
) -> Member:
    pax = dict(records)
    kind = block[156:157]
    name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or long_name or _name_in(block)
    is_directory = kind == b"\0" and name.endswith(b"/")  # v7 has no other mark for directories
    is_file = kind in _FILES and not is_directory
    target = None
    if kind in _LINKS:
        target = printable_name(pax.get(b"linkpath") or long_link or block[157:257].partition(b"\0")[0])
    stored = 0 if kind in _WITHOUT_DATA or is_directory else _decimal(pax[b"size"]) if b"size" in pax else size
    pieces = None
    data_offset, end = offset, offset + _padded(stored)
    if kind == b"S":
        pieces, size, data_offset = _old_gnu_sparse(read, offset, block)
        end = data_offset + _padded(stored)
    elif is_file and any(keyword.startswith(b"GNU.sparse.") for keyword, _ in records):
        pieces, size, data_offset = _pax_sparse(read, offset, stored, pax, records)
    else:
        size = stored
    if pieces is not None:
        _check_pieces(pieces, size, end - data_offset)
    return Member(printable_name(name), is_file, target, first, data_offset, end, size, pieces)


def _name_in(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    # The GNU format stores times where ustar stores the prefix of a long name.
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _check_sum(block: bytes) -> None:
    declared = _number(block[_CHECKSUM])
    rest = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    # Some old programs summed signed bytes.
    if declared not in (sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest)):
        raise HeaderError("the checksum of a header is wrong")


def _number(field: bytes) -> int:
    """Parse a number in a header: octal digits, or base 256 if it does not fit."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40:
            raise HeaderError("a header contains a negative number")
        return value
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if not _DIGITS.issuperset(digits) or b"8" in digits or b"9" in digits:
        raise HeaderError(f"a header contains {field!r}, expected a number")
    return int(digits, 8)


def _decimal(text: bytes) -> int:
    if not 0 < len(text) <= 20 or not _DIGITS.issuperset(text):
        raise HeaderError(f"a pax header contains {text[:40]!r}, expected a number")
    return int(text)


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _read_whole(read: ReadAt, offset: int, count: int) -> bytes:
    data = read(offset, count)
    if len(data) < count:
        raise HeaderCutShortError(offset + count)
    return data


def _extension(read: ReadAt, offset: int, size: int) -> bytes:
    if size > _MAX_EXTENSION_BYTES:
        raise HeaderError(f"a long name or pax header has {size:,} bytes")
    return _read_whole(read, offset, size)


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Parse records `<length> <keyword>=<value>\\n`, where the length counts the whole record."""
    place = 0
    while place < len(data) and data[place]:
        length = data[place : place + 20].partition(b" ")[0]
        end = place + _decimal(length)
        keyword, equals, value = data[place + len(length) + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n":
            raise HeaderError("a pax header is damaged")
        yield keyword, value
        place = end


def _old_gnu_sparse(read: ReadAt, offset: int, block: bytes) -> tuple[tuple[tuple[int, int], ...], int, int]:
    """Return the pieces, the size of the whole file and the offset of its data. The map may continue in more blocks."""
    pieces = list(_sparse_entries(block[386 : 386 + 4 * _SPARSE_ENTRY_BYTES]))
    size, more = _number(block[483:495]), block[482]
    while more:
        block = _read_whole(read, offset, BLOCK_BYTES)
        offset += BLOCK_BYTES
        pieces.extend(_sparse_entries(block[: 21 * _SPARSE_ENTRY_BYTES]))
        more = block[504]
    return tuple(pieces), size, offset


def _sparse_entries(entries: bytes) -> Iterator[tuple[int, int]]:
    for place in range(0, len(entries), _SPARSE_ENTRY_BYTES):
        entry = entries[place : place + _SPARSE_ENTRY_BYTES]
        if not entry[0]:
            return
        yield _number(entry[:12]), _number(entry[12:])


def _pax_sparse(
    read: ReadAt, offset: int, stored: int, pax: dict[bytes, bytes], records: list[tuple[bytes, bytes]]
) -> tuple[tuple[tuple[int, int], ...], int, int]:
    """As `_old_gnu_sparse`, for the three ways in which GNU tar stores the map in pax headers."""
    size = _decimal(pax.get(b"GNU.sparse.realsize") or pax.get(b"GNU.sparse.size") or b"")
    if pax.get(b"GNU.sparse.major") == b"1":
        numbers, data_offset = _leading_map(read, offset, stored)
    elif b"GNU.sparse.map" in pax:
        numbers, data_offset = [_decimal(number) for number in pax[b"GNU.sparse.map"].split(b",")], offset
    else:
        wanted = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        numbers, data_offset = [_decimal(value) for keyword, value in records if keyword in wanted], offset
    return tuple(zip(numbers[::2], numbers[1::2], strict=False)), size, data_offset


def _leading_map(read: ReadAt, offset: int, stored: int) -> tuple[list[int], int]:
    """Parse the map before the data: one number per line (pieces, then each one's place and length), then padding."""
    text = _read_whole(read, offset, min(stored, BLOCK_BYTES))
    lines = text.split(b"\n")
    wanted = 1 + 2 * _decimal(lines[0])
    while len(lines) <= wanted:
        if len(text) + BLOCK_BYTES > min(stored, _MAX_EXTENSION_BYTES):
            raise HeaderError("the map of a sparse file is damaged")
        text += _read_whole(read, offset + len(text), BLOCK_BYTES)
        lines = text.split(b"\n")
    return [_decimal(line) for line in lines[1:wanted]], offset + _padded(sum(map(len, lines[:wanted])) + wanted)


def _check_pieces(pieces: tuple[tuple[int, int], ...], size: int, stored: int) -> None:
    reached = total = 0
    for place, count in pieces:
        if place < reached:
            raise HeaderError("the map of a sparse file is damaged")
        reached, total = place + count, total + count
    if reached > size or total > stored:
        raise HeaderError("the map of a sparse file is damaged")
