"""MPEG audio (MP3): the frames that are there against the number that a Xing, Info or VBRI header promises.

libsndfile guesses the length of a stream without such a header from its first frames, and ends there; it ends where the
header of the first of several joined streams says; and by such a header it goes to a place only roughly. So the frames
are counted here, and libsndfile is given them without the header.
Headers: ISO/IEC 11172-3 and 13818-3; http://gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from shards.containers.layout import Layout, Part, Shortfall
from shards.containers.source import ByteSource

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
# Kilobits a second by (MPEG-1?, layer) and the header's index, from 1.
_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Enough for a frame's header and for what tells that it holds no sound but the length.
_FRAME_START_BYTES = 200
# So many frames in a row make a stream; in noise one header of 1,000 looks right by chance.
_CONFIRMING_FRAMES = 4
# What a decoder of layer III is behind its input, beyond the delay of the encoder.
_DECODER_DELAY = 529
_SEARCH_BLOCK = 1 << 16
# So far the decoder looks for the next frame by itself.
_DECODER_SEARCH_BYTES = 1024
# Some encoders count the frame of the header, and some end with one frame less.
_TOLERATED_FRAMES = 2


class Frame(NamedTuple):
    """A frame by its header; `size` in bytes, `samples` of each channel, `kind`: what is the same in a whole stream."""

    size: int
    samples: int
    kind: tuple[int, int, int, bool]

    @property
    def rate(self) -> int:
        return self.kind[2]


@lru_cache(maxsize=4096)
def frame_of(header: int) -> Frame | None:
    """The frame that begins with these 32 bits; None if none does."""
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


class _Promise(NamedTuple):
    """What a frame that holds no sound says: how many follow (None: not told), and what the encoder put around."""

    frames: int | None
    delay: int = 0
    padding: int = 0

    @property
    def before(self) -> int:
        """Samples in front of the sound."""
        return self.delay + _DECODER_DELAY

    @property
    def behind(self) -> int:
        """Samples behind the sound."""
        return max(self.padding - _DECODER_DELAY, 0)


@dataclass(slots=True)
class _Piece:
    """Frames that follow each other, from byte `start` to `stop`."""

    start: int
    stop: int
    frames: int = 0


@dataclass(slots=True)
class _Stream:
    """Frames of one kind, and what the header in front of them promises, if there is one."""

    frame: Frame
    pieces: list[_Piece]
    promise: _Promise | None = None
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
    """The MPEG streams between two bytes of a source; None if there is none."""
    layout = None
    for stream in _streams(source, start, stop):
        found = _layout_of(stream)
        layout = found if layout is None else layout.joined(found)
    return layout


def _layout_of(stream: _Stream) -> Layout:
    samples, rate, promise = stream.frame.samples, stream.frame.rate, stream.promise
    declared = None if promise is None else promise.frames
    parts = []
    skip = 0 if promise is None else promise.before
    for piece in stream.pieces:
        frames = max(piece.frames * samples - skip, 0)
        parts.append(Part(piece.start, piece.stop, endless=True, frames=frames, skip=skip))
        skip = 0
    if promise is not None and stream.frames == declared:
        last = parts[-1]
        parts[-1] = replace(last, frames=max((last.frames or 0) - promise.behind, 0))
    shortfall = None
    tolerated = _TOLERATED_FRAMES - stream.ends_within_frame
    if declared is not None and stream.frames < declared - tolerated:
        said = f"{declared:,} MPEG frames promised, {stream.frames:,} there"
        shortfall = Shortfall(said, declared * samples / rate)
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
        promise = _promise_of(frame, header)
        if stream is None or not goes_on or promise is not None:
            if stream is not None:
                yield stream
            stream = _Stream(frame, [_Piece(offset, offset)])
        if promise is None:
            stream.add(frame, offset)
        else:
            stream.promise = promise
            stream.pieces = [_Piece(offset + frame.size, offset + frame.size)]
        offset += frame.size
    if stream is not None:
        yield stream


def _promise_of(frame: Frame, data: bytes) -> _Promise | None:
    """What a frame promises that holds no sound; None if it is one of sound."""
    version, layer, _, mono = frame.kind
    if layer != 3:
        return None
    side = ((17 if mono else 32) if version == 3 else (9 if mono else 17)) + 4
    for at in (side, side + 2):  # with a checksum behind the header
        if data[at : at + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(data[at + 4 : at + 8], "big")
            frames = int.from_bytes(data[at + 8 : at + 12], "big") if flags & 1 else None
            tag = at + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
            around = int.from_bytes(data[tag + 21 : tag + 24], "big") if tag + 24 <= min(len(data), frame.size) else 0
            return _Promise(frames, around >> 12, around & 0xFFF)
    return _Promise(int.from_bytes(data[50:54], "big"), -_DECODER_DELAY) if data[36:40] == b"VBRI" else None


def _is_stream(source: ByteSource, offset: int, stop: int) -> bool:
    """Whether several frames of one kind follow each other here, or fewer up to the very end."""
    first = None
    for number in range(_CONFIRMING_FRAMES):
        frame = frame_of(int.from_bytes(source.at(offset, 4), "big"))
        if frame is None or first not in (None, frame.kind):
            # A tag or the next stream may follow a short one.
            return number > 0 and (_after_tag(source, offset, stop) is not None or (number > 1 and frame is not None))
        first = frame.kind
        offset += frame.size
        if offset + 4 > stop:
            return number > 0 or offset == stop
    return True


def _after_tag(source: ByteSource, offset: int, stop: int) -> int | None:
    """Where the bytes behind a tag of names and pictures begin; None if there is no tag here."""
    data = source.at(offset, 32)
    if data[:3] == b"ID3" and len(data) >= 10 and max(data[6:10]) < 0x80:
        size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
        return offset + 10 + size + (10 if data[5] & 0x10 else 0)
    if data[:3] == b"TAG" and stop - offset >= 128:
        return offset + 128
    if data[:8] == b"APETAGEX" and len(data) == 32:
        size, flags = int.from_bytes(data[12:16], "little"), int.from_bytes(data[20:24], "little")
        # Its size tells what follows a header; a footer ends the tag.
        return offset + 32 + (size if flags & 1 << 29 else 0)
    if data[:11] == b"LYRICSBEGIN":
        found = source.find(b"LYRICS200", offset)
        return found + 9 if found >= 0 else None
    return None


def _next_stream(source: ByteSource, offset: int, stop: int) -> int:
    """Where the next frames begin that follow each other; `stop` if nowhere."""
    while offset + 4 <= stop:
        block = source.at(offset, min(_SEARCH_BLOCK, stop - offset))
        at = block.find(b"\xff")
        while at >= 0:
            if _is_stream(source, offset + at, stop):
                return offset + at
            at = block.find(b"\xff", at + 1)
        offset += len(block)
    return stop
