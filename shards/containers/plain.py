"""Containers that tell in bytes how much sound they hold: WAV, RF64, AIFF, AU, CAF, W64, SPHERE and their like.

libsndfile takes what is there for what was promised. Here the promise is compared with the bytes, and where the length
was not known to the writer (0, -1 or a placeholder, as piped encoders leave it), the sound goes on to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from shards.audio_errors import CutShortError
from shards.containers.layout import Layout, Part, Shortfall
from shards.containers.mpeg import mpeg_layout
from shards.containers.source import ByteSource

# A few bytes less than promised is a writer that counted a header or a pad byte.
_TOLERATED_BYTES = 64
# More than this behind the sound, and no chunk of anything, is sound that the header does not count.
_UNCOUNTED_BYTES = 4096
# A header longer than this is not written anew.
_HEAD_BYTES = 4 << 20


Fields = Callable[[int], dict[int, bytes]]
_NONE: Mapping[int, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Body:
    """Where the sound of a container lies: from byte `offset`, `promised` bytes of it (None: not told).

    `bytes_per_second` 0: not known. `fields`: the header's bytes, by their place, for a number of bytes of sound.
    `chunk_bytes`: length of a named chunk at a place behind the sound, None if there is none. `is_mpeg`: the sound is
    MPEG frames. `frames_of`: samples of each channel in so many bytes, where libsndfile does not count them right.
    `rewrite`: the header does not say this. `magic`: the first bytes by which libsndfile knows this container, where it
    does not know its own.
    """

    offset: int
    promised: int | None
    bytes_per_second: float
    fields: Fields
    chunk_bytes: Callable[[int], int | None] = lambda _: None
    is_mpeg: bool = False
    frames_of: Callable[[int], int] | None = None
    rewrite: bool = False
    magic: bytes = b""


def plain_layout(
    source: ByteSource, start: int, body: Body, begins_recording: Callable[[bytes], bool]
) -> tuple[Layout, int]:
    """The recording that begins at `start`, and where what follows it begins.

    Args:
        begins_recording: whether these bytes are the first of another recording.
    """
    there = max(source.size - body.offset, 0)
    promised = body.promised
    end = source.size
    if promised is not None and promised < there:
        end = _end_of_chunks(source, body.offset + promised, body.chunk_bytes)
        # A pad byte may lie between two recordings.
        joined = any(begins_recording(source.at(at, 64)) for at in (end, end + 1))
        if not joined and _goes_on(source, end):
            promised, end = None, source.size  # the header counts only some of the sound
    count = there if promised is None else min(promised, there)
    shortfall = None
    if promised is not None and promised > there + _TOLERATED_BYTES:
        said = f"{promised:,} bytes of sound promised, {there:,} there"
        shortfall = Shortfall(said, promised / body.bytes_per_second if body.bytes_per_second else None)
    if body.is_mpeg and (inner := mpeg_layout(source, body.offset, body.offset + count)) is not None:
        return Layout(inner.parts, shortfall or inner.shortfall, length_unknown=promised is None), end
    head = _rewritten(source, start, body, count) if body.magic or body.rewrite or count != body.promised else b""
    frames = body.frames_of(count) if body.frames_of is not None else None
    return Layout((Part(start, end, head=head, frames=frames),), shortfall, length_unknown=promised is None), end


def _rewritten(source: ByteSource, start: int, body: Body, count: int) -> bytes:
    """The header with another number of bytes of sound in it."""
    if body.offset - start > _HEAD_BYTES:
        return b""
    head = bytearray(source.at(start, body.offset - start))
    for place, data in body.fields(count).items():
        head[place - start : place - start + len(data)] = data
    return body.magic + bytes(head[len(body.magic) :])


def _end_of_chunks(source: ByteSource, offset: int, chunk_bytes: Callable[[int], int | None]) -> int:
    """Where the chunks behind the sound end; they begin at even bytes, but some writers forget that."""
    for first in (offset + offset % 2, offset):
        at = first
        while (size := chunk_bytes(at)) is not None and at + size <= source.size + 1:
            at += size
        if at > first:
            return min(at, source.size)
    return offset


def is_chunk_name(name: bytes) -> bool:
    """Whether four bytes can name a chunk."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _goes_on(source: ByteSource, offset: int) -> bool:
    """Whether sound lies behind the counted sound: neither little, nor silence that fills a disk's block, nor a tag."""
    left = source.size - offset
    if left <= _UNCOUNTED_BYTES:
        return False
    data = source.at(offset, _UNCOUNTED_BYTES)
    return bool(data.strip(b"\0")) and data[:3] not in (b"ID3", b"TAG", b"APE")


def length_field(
    place: int, width: int, order: Literal["big", "little"], *, more: int = 0, beside: Mapping[int, bytes] = _NONE
) -> Fields:
    """The header's bytes for one number at byte `place`: the bytes of sound, and `more` that it counts with them."""
    most = (1 << 8 * width) - 1
    return lambda count: {**beside, place: min(count + more, most).to_bytes(width, order)}


def cut_in_header(name: str) -> CutShortError:
    """The error for a container that ends before its sound begins."""
    return CutShortError(f"it ends within its {name} header, before any sound")
