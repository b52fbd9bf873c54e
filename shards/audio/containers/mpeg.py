"""MPEG audio (MP3): compare the number of frames present with the number in a Xing, Info or VBRI header.

Without such a header, libsndfile estimates the length from the first frames and stops there. If several streams are
joined, it stops where the first header says. With a header, its seeks are only approximate. So this module counts the
frames, and libsndfile gets them without the header.
Headers: ISO/IEC 11172-3 and 13818-3; http://gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.layout import Layout, Part, Shortfall

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
# Kilobits per second, by (is MPEG-1, layer) and the index in the header minus 1.
_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Enough bytes for a frame header and a Xing, Info or VBRI header.
_FRAME_START_BYTES = 200
# This many consecutive frames make a stream. In noise, one header in 1,000 looks valid by chance.
_CONFIRMING_FRAMES = 4
# Samples by which a layer III decoder lags its input, on top of the encoder delay.
_DECODER_DELAY = 529
_SEARCH_BLOCK = 1 << 16
# The decoder itself searches this far for the next frame.
_DECODER_SEARCH_BYTES = 1024
# Some encoders count the header's own frame, and some write one frame less.
_TOLERATED_FRAMES = 2


class Frame(NamedTuple):
    """A parsed frame header: `size` in bytes, `samples` per channel, `kind` (the fields constant within a stream)."""

    size: int
    samples: int
    kind: tuple[int, int, int, bool]

    @property
    def rate(self) -> int:
        return self.kind[2]


@lru_cache(maxsize=4096)
def frame_of(header: int) -> Frame | None:
    """Parse a 32-bit frame header; None if it is not valid."""
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    bitrate, rate = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3 or header & 3 == 2:
        return None
    bits_per_second = _BITRATES[version == 3, layer][bitrate - 1] * 1000
    hertz, padding = _RATES[version][rate], header >> 9 & 1
    if layer == 1:
        size, samples = (12 * bits_per_second // hertz + padding) * 4, 384
    else:
        samples = 576 if layer == 3 and version != 3 else 1152
        size = samples // 8 * bits_per_second // hertz + padding
    return Frame(size, samples, (version, layer, hertz, header >> 6 & 3 == 3))


class _InfoHeader(NamedTuple):
    """A Xing, Info or VBRI header: the number of frames that follow (None if absent), and encoder delay and padding."""

    frames: int | None
    delay: int = 0
    padding: int = 0

    @property
    def samples_before(self) -> int:
        """Samples to skip before the audio."""
        return self.delay + _DECODER_DELAY

    @property
    def samples_after(self) -> int:
        """Samples to drop after the audio."""
        return max(self.padding - _DECODER_DELAY, 0)


@dataclass(slots=True)
class _Piece:
    """Consecutive frames, from byte `start` to `stop`."""

    start: int
    stop: int
    frames: int = 0


@dataclass(slots=True)
class _Stream:
    """Frames of one kind, and the header in front of them, if there is one."""

    frame: Frame
    pieces: list[_Piece]
    info_header: _InfoHeader | None = None
    ends_within_frame: bool = False

    @property
    def frames(self) -> int:
        return sum(piece.frames for piece in self.pieces)

    @property
    def stop(self) -> int:
        return self.pieces[-1].stop

    def add(self, frame: Frame, offset: int) -> None:
        if offset - self.stop > _DECODER_SEARCH_BYTES:
            self.pieces.append(_Piece(offset, offset))
        self.pieces[-1].frames += 1
        self.pieces[-1].stop = offset + frame.size


def mpeg_layout(source: ByteSource, start: int, stop: int) -> Layout | None:
    """Return the layout of the MPEG streams between two bytes of a source; None if there are none."""
    layout = None
    for stream in _streams(source, start, stop):
        found = _layout_of(stream)
        layout = found if layout is None else layout.joined(found)
    return layout


def _layout_of(stream: _Stream) -> Layout:
    samples, rate, info_header = stream.frame.samples, stream.frame.rate, stream.info_header
    declared = None if info_header is None else info_header.frames
    parts = []
    skip = 0 if info_header is None else info_header.samples_before
    for piece in stream.pieces:
        frames = max(piece.frames * samples - skip, 0)
        parts.append(Part(piece.start, piece.stop, endless=True, frames=frames, skip=skip))
        skip = 0
    if info_header is not None and stream.frames == declared:
        last = parts[-1]
        parts[-1] = replace(last, frames=max((last.frames or 0) - info_header.samples_after, 0))
    shortfall = None
    tolerated = _TOLERATED_FRAMES - stream.ends_within_frame
    if declared is not None and stream.frames < declared - tolerated:
        found = f"{declared:,} MPEG frames declared, {stream.frames:,} present"
        shortfall = Shortfall(found, declared * samples / rate)
    elif declared is None and stream.ends_within_frame:
        shortfall = Shortfall("within an MPEG frame")
    return Layout(tuple(parts), shortfall, length_unknown=declared is None)


def _streams(source: ByteSource, start: int, stop: int) -> Iterator[_Stream]:
    stream: _Stream | None = None
    offset = start
    while offset + 4 <= stop:
        header = source.at(offset, _FRAME_START_BYTES)
        frame = frame_of(int.from_bytes(header[:4], "big"))
        goes_on = stream is not None and frame is not None and frame.kind == stream.frame.kind
        if frame is None or not (goes_on or _is_stream(source, offset, stop)):
            offset = _after_tag(source, offset, stop) or _next_stream(source, offset + 1, stop)
            continue
        if offset + frame.size > stop:
            if stream is not None:
                stream.ends_within_frame = True
            break
        info_header = _info_header_of(frame, header)
        if stream is None or not goes_on or info_header is not None:
            if stream is not None:
                yield stream
            stream = _Stream(frame, [_Piece(offset, offset)])
        if info_header is None:
            stream.add(frame, offset)
        else:
            stream.info_header = info_header
            stream.pieces = [_Piece(offset + frame.size, offset + frame.size)]
        offset += frame.size
    if stream is not None:
        yield stream


def _info_header_of(frame: Frame, data: bytes) -> _InfoHeader | None:
    """Parse a frame's Xing, Info or VBRI header; None if the frame holds audio."""
    version, layer, _, mono = frame.kind
    if layer != 3:
        return None
    side = ((17 if mono else 32) if version == 3 else (9 if mono else 17)) + 4
    for at in (side, side + 2):  # two bytes later if a checksum follows the frame header
        if data[at : at + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(data[at + 4 : at + 8], "big")
            frames = int.from_bytes(data[at + 8 : at + 12], "big") if flags & 1 else None
            tag = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
            around = int.from_bytes(data[tag + 21 : tag + 24], "big") if tag + 24 <= min(len(data), frame.size) else 0
            return _InfoHeader(frames, around >> 12, around & 0xFFF)
    return _InfoHeader(int.from_bytes(data[50:54], "big"), -_DECODER_DELAY) if data[36:40] == b"VBRI" else None


def _is_stream(source: ByteSource, offset: int, stop: int) -> bool:
    """Whether several consecutive frames of one kind begin here, or fewer if the data ends first."""
    first = None
    for number in range(_CONFIRMING_FRAMES):
        frame = frame_of(int.from_bytes(source.at(offset, 4), "big"))
        if frame is None or first not in (None, frame.kind):
            # A short stream may be followed by a tag or the next stream.
            return number > 0 and (_after_tag(source, offset, stop) is not None or (number > 1 and frame is not None))
        first = frame.kind
        offset += frame.size
        if offset + 4 > stop:
            return number > 0 or offset == stop
    return True


def _after_tag(source: ByteSource, offset: int, stop: int) -> int | None:
    """Return the byte after the metadata tag (ID3, APE, Lyrics3) at `offset`; None if there is no tag."""
    data = source.at(offset, 32)
    if data[:3] == b"ID3" and len(data) >= 10 and max(data[6:10]) < 0x80:
        size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
        return offset + 10 + size + (10 if data[5] & 0x10 else 0)
    if data[:3] == b"TAG" and stop - offset >= 128:
        return offset + 128
    if data[:8] == b"APETAGEX" and len(data) == 32:
        size, flags = int.from_bytes(data[12:16], "little"), int.from_bytes(data[20:24], "little")
        # The size field counts the bytes after a tag header; a footer ends the tag.
        return offset + 32 + (size if flags & 1 << 29 else 0)
    if data[:11] == b"LYRICSBEGIN":
        found = source.find(b"LYRICS200", offset)
        return found + 9 if found >= 0 else None
    return None


def _next_stream(source: ByteSource, offset: int, stop: int) -> int:
    """Return the byte where the next run of consecutive frames begins; `stop` if there is none."""
    while offset + 4 <= stop:
        block = source.at(offset, min(_SEARCH_BLOCK, stop - offset))
        at = block.find(b"\xff")
        while at >= 0:
            if _is_stream(source, offset + at, stop):
                return offset + at
            at = block.find(b"\xff", at + 1)
        offset += len(block)
    return stop
