"""Locate the audio, and read its declared length, in WAV, RF64, BW64 and W64 files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.plain import Body, cut_in_header, is_chunk_name, length_field

RIFF_MAGICS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
W64_MAGIC = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_GSM_FORMAT = 0x31
_MPEG_FORMATS = (0x50, 0x55)
# An extensible format names its real format in a later field. Only PCM, float, A-law and µ-law need nothing else.
_EXTENSIBLE, _PLAIN_FORMATS = 0xFFFE, (1, 3, 6, 7)
# Lengths that sox, arecord, ffmpeg and lame write to a pipe, where they do not know the length; less a header.
_PLACEHOLDERS = ((0x7FFFF000, 0x80000000), (0xFFFFF000, 0xFFFFFFFF))


def is_placeholder(length: int) -> bool:
    """Whether a 32-bit length means that the writer did not know the length."""
    return length == 0 or any(low <= length <= high for low, high in _PLACEHOLDERS)


def riff_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the WAV, RF64 or BW64 file that begins at `start`.

    Raises:
        CutShortError: the file ends before the audio begins.
    """
    head = source.at(start, 12)
    order: Literal["big", "little"] = "big" if head[:4] == b"RIFX" else "little"
    header = _Header(source, start, order)
    offset = start + 12
    while len(chunk := source.at(offset, 8)) == 8:
        name, size = chunk[:4], int.from_bytes(chunk[4:8], order)
        if name == b"ds64":
            data = source.at(offset + 8, 16)
            header.long_place, header.long_length = offset + 16, int.from_bytes(data[8:16], "little")
        elif name == b"fmt ":
            data = source.at(offset + 8, 40)
            header.format_tag = int.from_bytes(data[:2], order)
            header.bytes_per_second = int.from_bytes(data[8:12], order)
            header.plain = _plain_format(data, offset + 8, order) if order == "big" else {}
        elif name == b"data":
            return _body(header, offset, size)
        offset += 8 + size + size % 2
    raise cut_in_header("WAV")


@dataclass(slots=True)
class _Header:
    """What the chunks before the audio say. RF64 has a `long_length` at `long_place`; `plain`: see `_plain_format`."""

    source: ByteSource
    start: int
    order: Literal["big", "little"]
    format_tag: int = 0
    bytes_per_second: int = 0
    long_length: int | None = None
    long_place: int | None = None
    plain: dict[int, bytes] = field(default_factory=dict)


def _body(header: _Header, offset: int, size: int) -> Body:
    source, order, long_length, long_place = header.source, header.order, header.long_length, header.long_place
    declared: int | None = size
    if long_length is not None and size == 0xFFFFFFFF:
        declared = None if long_length == 0 or long_length >= 1 << 62 else long_length
    elif is_placeholder(size) and size != source.size - offset - 8:
        declared = None
    if declared is None and size == 0 and _is_empty(source, offset + 8, order):
        declared = 0

    def fields(count: int) -> dict[int, bytes]:
        if long_place is not None and count > 0xFFFFFFF0:
            return {long_place: count.to_bytes(8, "little"), offset + 4: b"\xff\xff\xff\xff"}
        short = min(count, 0xFFFFFFFF).to_bytes(4, order)
        places = header.plain | {offset + 4: short}
        return places | ({long_place: count.to_bytes(8, "little")} if long_place is not None else {})

    return Body(
        offset=offset + 8,
        declared=declared,
        bytes_per_second=header.bytes_per_second,
        fields=fields,
        chunk_bytes=lambda at: riff_chunk_bytes(source, at, order),
        is_mpeg=header.format_tag in _MPEG_FORMATS,
        # libsndfile counts a pad byte as one more block.
        frames_of=(lambda count: count // 65 * 320) if header.format_tag == _GSM_FORMAT else None,
        magic=b"RF64" if source.at(header.start, 4) == b"BW64" else b"",
        rewrite=bool(header.plain),
    )


def _plain_format(data: bytes, place: int, order: Literal["big", "little"]) -> dict[int, bytes]:
    """Return the bytes to write at `place` to replace an extensible format with the plain format it names.

    libsndfile treats every extensible format in W64 as integers, and cannot read one in big-endian WAV.
    """
    if len(data) < 26 or int.from_bytes(data[:2], order) != _EXTENSIBLE:
        return {}
    return {place: data[24:26]} if int.from_bytes(data[24:26], order) in _PLAIN_FORMATS else {}


def riff_chunk_bytes(source: ByteSource, offset: int, order: Literal["big", "little"]) -> int | None:
    """Return the length of the chunk at `offset`, with header and pad byte; None for no chunk or a new recording."""
    chunk = source.at(offset, 8)
    if not is_chunk_name(chunk[:4]) or len(chunk) < 8 or chunk[:4] in (*RIFF_MAGICS, b"FORM"):
        return None
    size = int.from_bytes(chunk[4:8], order)
    return 8 + size + size % 2


def _is_empty(source: ByteSource, offset: int, order: Literal["big", "little"]) -> bool:
    """Whether the chunks after a length of 0 account for every byte, so that there really is no audio."""
    while offset < source.size:
        size = riff_chunk_bytes(source, offset, order)
        if size is None:
            return False
        offset += size
    return offset <= source.size + 1


def w64_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the Sony Wave64 file that begins at `start`; sizes include the 24-byte chunk"""
    offset, bytes_per_second = start + 40, 0
    plain: dict[int, bytes] = {}
    while len(chunk := source.at(offset, 24)) == 24:
        size = int.from_bytes(chunk[16:24], "little")
        if chunk[:4] == b"fmt " and chunk[4:16] == _W64_TAIL:
            data = source.at(offset + 24, 40)
            bytes_per_second = int.from_bytes(data[8:12], "little")
            plain = _plain_format(data, offset + 24, "little")
        elif chunk[:4] == b"data" and chunk[4:16] == _W64_TAIL:
            unknown = size <= 24 or size >= 1 << 62
            return Body(
                offset=offset + 24,
                declared=None if unknown else size - 24,
                bytes_per_second=bytes_per_second,
                fields=length_field(offset + 16, 8, "little", more=24, beside=plain),
                chunk_bytes=lambda at: _w64_chunk_bytes(source, at),
                rewrite=bool(plain),
            )
        if size < 24:
            break
        offset += size + -size % 8
    raise cut_in_header("W64")


def _w64_chunk_bytes(source: ByteSource, offset: int) -> int | None:
    chunk = source.at(offset, 24)
    size = int.from_bytes(chunk[16:24], "little")
    if not is_chunk_name(chunk[:4]) or chunk[:16] == W64_MAGIC or size < 24:
        return None
    return size + -size % 8
