"""Locate the audio, and read its declared length, in AIFF, AIFC, 8SVX, AU, CAF, SPHERE, AVR, HTK and VOC files."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Literal

from shards.audio.audio_errors import UndecodableError
from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.plain import Body, cut_in_header, is_chunk_name, length_field
from shards.audio.containers.riff import is_placeholder, riff_chunk_bytes

_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 23: 0.5, 25: 0.375, 26: 0.625, 27: 1}
_PACKET_TABLE_BYTES = 16 << 20
# VOC block types: audio, continued audio, silence, and audio in the newer format.
_VOC_SOUND = (b"\1", b"\2", b"\3", b"\x09")
_PLAIN_AIFC = (b"NONE", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"raw ")
_SPHERE_FIELD = re.compile(rb"^(sample_count|sample_n_bytes|channel_count|sample_rate|sample_coding) -\w+ (\S+)", re.M)


def _nothing(_: int) -> dict[int, bytes]:
    return {}


def iff_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the AIFF, AIFC or 8SVX file that begins at `start`."""
    kind = source.at(start + 8, 4)
    offset, frames, frame_bytes, rate, frames_place = start + 12, 0, 0, 0.0, None
    while len(chunk := source.at(offset, 8)) == 8:
        name, size = chunk[:4], int.from_bytes(chunk[4:8], "big")
        if name == b"COMM":
            data = source.at(offset + 8, 22)
            channels, frames, bits = struct.unpack(">hIh", data[:8].ljust(8, b"\0"))
            rate = _extended(data[8:18])
            frames_place = offset + 10
            plain = kind == b"AIFF" or data[18:22] in _PLAIN_AIFC
            frame_bytes = max(channels, 0) * -(-max(bits, 0) // 8) if plain else 0
        elif name == b"VHDR":
            rate, frame_bytes = float(int.from_bytes(source.at(offset + 20, 2), "big")), 1 if kind == b"8SVX" else 2
        elif name in (b"SSND", b"BODY"):
            return _iff_sound(source, offset, name, size, frames, frame_bytes, rate, frames_place)
        offset += 8 + size + size % 2
    raise cut_in_header("AIFF")


def _iff_sound(
    source: ByteSource,
    offset: int,
    name: bytes,
    size: int,
    frames: int,
    frame_bytes: int,
    rate: float,
    frames_place: int | None,
) -> Body:
    before = 8 if name == b"SSND" else 0
    first = offset + 8 + before
    declared: int | None = size - before
    if is_placeholder(size) or size <= before:
        counted = frames * frame_bytes
        declared = counted if counted and not is_placeholder(frames) else None
    elif frame_bytes and not is_placeholder(frames):
        declared = max(size - before, frames * frame_bytes)

    def fields(count: int) -> dict[int, bytes]:
        places = {offset + 4: min(count + before, 0xFFFFFFFF).to_bytes(4, "big")}
        if frames_place is not None and frame_bytes:
            places[frames_place] = min(count // frame_bytes, 0xFFFFFFFF).to_bytes(4, "big")
        return places

    return Body(
        offset=first,
        declared=declared,
        bytes_per_second=rate * frame_bytes,
        fields=fields,
        chunk_bytes=lambda at: riff_chunk_bytes(source, at, "big"),
    )


def _extended(data: bytes) -> float:
    """Parse an 80-bit float, AIFF's format for the sample rate; 0 if it is invalid."""
    if len(data) < 10:
        return 0.0
    exponent, mantissa = int.from_bytes(data[:2], "big") & 0x7FFF, int.from_bytes(data[2:10], "big")
    return float(mantissa) * 2.0 ** (exponent - 16383 - 63) if 16300 < exponent < 16500 else 0.0


def au_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the AU file that begins at `start`, in either byte order."""
    head = source.at(start, 24)
    if len(head) < 24:
        raise cut_in_header("AU")
    order: Literal["big", "little"] = "big" if head[:4] == b".snd" else "little"
    first, size, encoding, rate, channels = (int.from_bytes(head[at : at + 4], order) for at in range(4, 24, 4))
    unknown = is_placeholder(size)
    return Body(
        offset=start + max(first, 24),
        declared=None if unknown else size,
        bytes_per_second=_AU_BYTES.get(encoding, 0) * rate * channels,
        fields=length_field(start + 8, 4, order),
    )


def caf_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the Core Audio file that begins at `start`; a 4-byte edit count precedes the audio."""
    offset, rate, bytes_per_second = start + 8, 0.0, 0.0
    packed_bytes: int | None = None
    frames_of: Callable[[int], int] | None = None
    while len(chunk := source.at(offset, 12)) == 12:
        name, size = chunk[:4], int.from_bytes(chunk[4:12], "big", signed=True)
        if name == b"desc":
            data = source.at(offset + 12, 32).ljust(32, b"\0")
            (rate,), (packet_bytes, packet_frames) = struct.unpack(">d", data[:8]), struct.unpack(">II", data[16:24])
            rate = rate if 0 < rate < 1e9 else 0.0
            bytes_per_second = rate * packet_bytes / packet_frames if packet_frames else 0.0
        elif name == b"pakt" and 24 <= size <= _PACKET_TABLE_BYTES:
            table = source.at(offset + 12, size)
            counted = int.from_bytes(table[8:16], "big")
            if not bytes_per_second and 0 < counted < 1 << 48:
                packed_bytes = _sum_of_packets(table[24:])
                frames_of = partial(_frames_in, counted, packed_bytes)
                bytes_per_second = packed_bytes * rate / counted
        elif name == b"data":
            return Body(
                offset=offset + 16,
                declared=size - 4 if size > 4 else packed_bytes or None,
                bytes_per_second=bytes_per_second,
                fields=length_field(offset + 4, 8, "big", more=4),
                chunk_bytes=lambda at: _caf_chunk_bytes(source, at),
                frames_of=frames_of,
                rewrite=size <= 4,
            )
        if size < 0:
            break
        offset += 12 + size
    raise cut_in_header("CAF")


def _frames_in(frames: int, packed_bytes: int, count: int) -> int:
    """Estimate the frames in the first `count` of `packed_bytes` bytes, which hold `frames` in all."""
    return frames if count >= packed_bytes else frames * count // packed_bytes


def _sum_of_packets(table: bytes) -> int:
    """Sum the packet lengths, which are stored as 7 bits per byte, most significant first."""
    total = length = 0
    for byte in table:
        length = length << 7 | byte & 0x7F
        if byte < 0x80:
            total, length = total + length, 0
    return total


def _caf_chunk_bytes(source: ByteSource, offset: int) -> int | None:
    chunk = source.at(offset, 12)
    size = int.from_bytes(chunk[4:12], "big", signed=True)
    return 12 + size if is_chunk_name(chunk[:4]) and chunk[:4] != b"caff" and size >= 0 else None


def sphere_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the NIST SPHERE file that begins at `start`."""
    head = source.at(start, 1024)
    found = {name.decode(): value.decode("latin-1") for name, value in _SPHERE_FIELD.findall(head)}
    if "shorten" in found.get("sample_coding", ""):
        raise UndecodableError("SPHERE with shorten, which libsndfile does not read", fix="convert it with sph2pipe")
    lines = head.split(b"\n", 2)
    size = int(lines[1]) if len(lines) > 1 and lines[1].strip().isdigit() and len(lines[1]) < 12 else 1024
    count, width, channels, rate = (
        int(found[name]) if found.get(name, "").isdigit() and len(found[name]) < 16 else 0
        for name in ("sample_count", "sample_n_bytes", "channel_count", "sample_rate")
    )
    frame_bytes = width * max(channels, 1)
    if source.size - start < size:
        raise cut_in_header("SPHERE")
    return Body(
        offset=start + size, declared=count * frame_bytes or None, bytes_per_second=rate * frame_bytes, fields=_nothing
    )


def avr_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the AVR file that begins at `start`."""
    head = source.at(start, 128)
    if len(head) < 128:
        raise cut_in_header("AVR")
    channels = 2 if head[12:14] == b"\xff\xff" else 1
    frame_bytes = channels * (2 if int.from_bytes(head[14:16], "big") == 16 else 1)
    rate, frames = int.from_bytes(head[22:26], "big") & 0xFFFFFF, int.from_bytes(head[26:30], "big")
    return Body(
        offset=start + 128, declared=frames * frame_bytes or None, bytes_per_second=rate * frame_bytes, fields=_nothing
    )


def is_htk(data: bytes) -> bool:
    """Whether this is an HTK waveform header: 16-bit samples, sample period (in 100 ns units) usual for speech."""
    return data[8:12] == b"\x00\x02\x00\x00" and 50 <= int.from_bytes(data[4:8], "big") <= 5_000


def htk_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the HTK waveform that begins at `start`."""
    samples, period = (int.from_bytes(source.at(start + at, 4), "big") for at in (0, 4))
    return Body(
        offset=start + 12,
        declared=samples * 2 or None,
        bytes_per_second=2 * 1e7 / period,
        fields=lambda count: {start: (count // 2).to_bytes(4, "big")},
    )


def voc_body(source: ByteSource, start: int) -> Body:
    """Locate the audio of the Creative Voice file that begins at `start`: its first audio block."""
    offset = start + int.from_bytes(source.at(start + 20, 2), "little")
    while len(block := source.at(offset, 16)) >= 4:
        kind, size = block[0], int.from_bytes(block[1:4], "little")
        if kind in (1, 9):
            before = 2 if kind == 1 else 12
            rate = int.from_bytes(block[4:8], "little") if kind == 9 else 1_000_000 / (256 - block[4])
            width = block[8] // 8 * block[9] if kind == 9 and len(block) == 16 else 1
            following = source.at(offset + 4 + size, 4)
            end = offset + 8 + size + int.from_bytes(following[1:], "little")
            if following[:1] in _VOC_SOUND and end < source.size:
                raise UndecodableError(
                    "its audio is in several VOC blocks, and libsndfile reads only one", fix="convert it to FLAC or WAV"
                )
            return Body(
                offset=offset + 4 + before,
                declared=max(size - before, 0) or None,
                bytes_per_second=rate * width,
                fields=length_field(offset + 1, 3, "little", more=before),
                # A zero byte ends the blocks.
                chunk_bytes=lambda at: 1 if source.at(at, 1) == b"\0" else None,
            )
        if kind == 0:
            break
        offset += 4 + size
    raise cut_in_header("VOC")
