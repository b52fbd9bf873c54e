"""FLAC: compare the number of samples in the header with the last frame in the file.

Format: RFC 9639, https://www.rfc-editor.org/rfc/rfc9639.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shards.audio.audio_errors import CutShortError
from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.layout import Layout, Part, Shortfall

MAGIC = b"fLaC"
# A STREAMINFO block comes first; its length is always 34.
_STREAMINFO_BYTES = 34
FIRST_BLOCKS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
HEAD_BYTES = len(FIRST_BLOCKS[0]) + _STREAMINFO_BYTES
_TOTAL_BITS = 36
# The header fields packed in front of the total: 16 kHz, one channel, 16 bits.
_PLAIN = 16_000 << 8 | 15
# Upper bound for a frame of 4,096 such samples. A decoder reads a few frames ahead.
_PLAIN_FRAME_BYTES = 8_300
_READ_AHEAD_BYTES = 1 << 14
# A frame has at most 65,535 samples of 8 channels. Frames longer than this many bytes are not searched for.
_SEARCH_BYTES = 1 << 20


class _Findable(Protocol):
    def rfind(self, wanted: bytes, start: int, end: int, /) -> int: ...
    def __getitem__(self, item: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The STREAMINFO header. `total` counts samples per channel; 0 means unknown."""

    block: int
    rate: int
    channels: int
    bits: int
    total: int

    @classmethod
    def of(cls, head: bytes) -> StreamInfo:
        """Parse the first `HEAD_BYTES` bytes of a FLAC stream."""
        packed = int.from_bytes(head[18:26], "big")
        return cls(
            # The maximum block size. Where frames are numbered, only the last frame may be shorter.
            block=int.from_bytes(head[10:12], "big"),
            rate=packed >> 44,
            channels=(packed >> 41 & 0x7) + 1,
            bits=(packed >> 36 & 0x1F) + 1,
            total=packed & ((1 << _TOTAL_BITS) - 1),
        )


def _crc_table(bits: int, polynomial: int) -> list[int]:
    table, top, mask = [], 1 << (bits - 1), (1 << bits) - 1
    for value in range(256):
        crc = value << (bits - 8)
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return table


_CRC8, _CRC16 = _crc_table(8, 0x07), _crc_table(16, 0x8005)
_RATE_CODES = {88_200: 1, 176_400: 2, 192_000: 3, 8_000: 4, 16_000: 5, 22_050: 6, 24_000: 7} | {
    32_000: 8,
    44_100: 9,
    48_000: 10,
    96_000: 11,
}
_BITS_CODES = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}


class FrameFound(NamedTuple):
    """A frame at byte `at`: the number of its first sample, and its number of samples."""

    at: int
    first: int
    samples: int

    @property
    def end(self) -> int:
        return self.first + self.samples


def last_frame(data: _Findable, end: int, info: StreamInfo, *, search_bytes: int = _SEARCH_BYTES) -> FrameFound | None:
    """Return the last frame that begins in the `search_bytes` before byte `end`; None if there is none."""
    lowest = max(0, end - search_bytes)
    while True:
        found = data.rfind(b"\xff\xf8", lowest, end)
        found = max(found, data.rfind(b"\xff\xf9", max(found, lowest), end))
        if found < 0:
            return None
        frame = _frame_of(data[found : found + 16], info)
        if frame is not None:
            return FrameFound(found, *frame)
        end = found + 1


def _frame_of(header: bytes, info: StreamInfo) -> tuple[int, int] | None:
    if len(header) < 6 or header[3] & 1:
        return None
    block_code, rate_code, channel_code, bits_code = header[2] >> 4, header[2] & 15, header[3] >> 4, header[3] >> 1 & 7
    if block_code == 0 or channel_code > 10 or (2 if channel_code > 7 else channel_code + 1) != info.channels:
        return None
    if bits_code not in (0, _BITS_CODES.get(info.bits)) or (
        rate_code not in (0, 12, 13, 14, _RATE_CODES.get(info.rate))
    ):
        return None
    more = next((count for count in range(8) if not header[4] << count & 0x80), 8)
    if more in (1, 8):
        return None
    at = 4 + max(more, 1)
    number = header[4] & (0x7F >> more)
    for byte in header[5:at]:
        number = number << 6 | byte & 0x3F
    samples, width = _block_of(block_code, header[at : at + 2])
    at += width
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(header) or header[at] != _crc8(header[:at]):
        return None
    # With a fixed block size the header holds the frame number, otherwise the sample number.
    return (number if header[1] & 1 else number * info.block), samples


def _block_of(code: int, following: bytes) -> tuple[int, int]:
    """Decode a frame's block size code. Returns the number of samples and the number of following bytes used."""
    if code in (6, 7):
        return int.from_bytes(following[: code - 5], "big") + 1, code - 5
    if code == 1:
        return 192, 0
    return (576 << max(code - 2, 0) if code < 6 else 256 << (code - 8)), 0


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def plain_frames(data: bytes) -> int | None:
    """Return the sample count of a complete FLAC stream as `shards build` writes it (16 kHz, mono, 16 bits).

    None for any other data, and occasionally for such a stream too. Only the last frame is checked, because this runs
    for every utterance read.
    """
    packed = int.from_bytes(data[18:26], "big")
    total = packed & ((1 << _TOTAL_BITS) - 1)
    if packed >> _TOTAL_BITS != _PLAIN or total == 0 or data[:8] not in FIRST_BLOCKS:
        return None
    if len(data) < _READ_AHEAD_BYTES and data.find(MAGIC, HEAD_BYTES) >= 0:
        return None
    block = int.from_bytes(data[10:12], "big") or 1
    number = (total - 1) // block
    if number >= 0xD800:
        return None
    # The byte for 16 bits and one channel, then the frame number in the encoding UTF-8 uses for a character.
    last = b"\x08" + chr(number).encode()
    end, lowest = len(data) - 4, max(0, len(data) - _PLAIN_FRAME_BYTES)
    while (found := data.rfind(b"\xff\xf8", lowest, end)) >= 0:
        at = found + 3 + len(last)
        if data[found + 3 : at] == last:
            return total if number * block + _block_of(data[found + 2] >> 4, data[at : at + 2])[0] == total else None
        if data[found + 3] == last[0]:
            return None
        end = found + 1
    return None


def flac_layout(source: ByteSource, start: int) -> tuple[Layout, int]:
    """Return the layout of the FLAC stream at byte `start`, and the byte where the stream ends.

    Raises:
        CutShortError: the stream ends within its header.
    """
    head = source.at(start, HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        raise CutShortError("ends within its FLAC header")
    info = StreamInfo.of(head)
    stop = source.find(MAGIC, start + HEAD_BYTES)
    while stop >= 0 and source.at(stop, len(FIRST_BLOCKS[0])) not in FIRST_BLOCKS:
        stop = source.find(MAGIC, stop + 1)
    stop = source.size if stop < 0 else stop
    tail_start = max(start, stop - _SEARCH_BYTES)
    tail = source.at(tail_start, stop - tail_start)
    last = last_frame(tail, len(tail), info)
    if last is None and tail_start > start:  # a large picture may follow the audio
        tail = source.at(start, stop - start)
        last = last_frame(tail, len(tail), info, search_bytes=len(tail))
    last = last or FrameFound(0, 0, 0)
    if last.end == info.total:
        return Layout((Part(start, stop, sure_frames=last.first),)), stop
    if last.end < info.total:
        present = last.end if _crc16(tail[last.at :]) == 0 else last.first
        found = f"{info.total:,} samples declared, {present:,} present"
        part = Part(start, stop, head=_with_total(head, present), sure_frames=last.first)
        return Layout((part,), Shortfall(found, info.total / max(info.rate, 1))), stop
    part = Part(start, stop, head=_with_total(head, last.end), sure_frames=last.first)
    return Layout((part,), length_unknown=True), stop


def _crc16(frame: bytes) -> int:
    """Return the CRC-16 of a frame including its own checksum at the end: 0 if the frame is intact."""
    crc = 0
    for byte in frame:
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _with_total(head: bytes, total: int) -> bytes:
    packed = int.from_bytes(head[18:26], "big") >> _TOTAL_BITS << _TOTAL_BITS | total
    return head[:18] + packed.to_bytes(8, "big") + head[26:]
