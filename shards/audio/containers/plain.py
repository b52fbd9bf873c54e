"""Containers that declare the length of their audio in bytes: WAV, RF64, AIFF, AU, CAF, W64, SPHERE and similar.

libsndfile silently accepts files that are shorter than declared. This module compares the declared length with the
bytes present. If the writer did not know the length (0, -1 or a placeholder, as encoders write to a pipe), the audio
extends to the end of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from shards.audio.audio_errors import CutShortError
from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.layout import Layout, Part, Shortfall
from shards.audio.containers.mpeg import mpeg_layout

# A file may be a few bytes shorter than declared: some writers count a header or a pad byte.
_TOLERATED_BYTES = 64
# More bytes than this after the audio, without a chunk header, are audio that the header does not count.
_UNCOUNTED_BYTES = 4096
# A header longer than this is not rewritten.
_HEAD_BYTES = 4 << 20


Fields = Callable[[int], dict[int, bytes]]
_NONE: Mapping[int, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Where a container's audio is: from byte `offset`, `declared` bytes long (None if not declared).

    `bytes_per_second`: 0 if unknown. `fields`: given a number of audio bytes, the header bytes to write, by offset.
    `chunk_bytes`: the length of the chunk at an offset after the audio, None if there is no chunk. `is_mpeg`: the audio
    consists of MPEG frames. `frames_of`: given a number of bytes, the samples per channel, for formats that libsndfile
    miscounts. `rewrite`: the header differs from these values and has to be rewritten. `magic`: first bytes to write
    if libsndfile does not recognise the container's own.
    """

    offset: int
    declared: int | None
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
    """Return the layout of the recording that begins at `start`, and the byte where the recording ends.

    Args:
        begins_recording: returns whether the given bytes are the beginning of another recording.
    """
    present = max(source.size - body.offset, 0)
    declared = body.declared
    end = source.size
    if declared is not None and declared < present:
        end = _end_of_chunks(source, body.offset + declared, body.chunk_bytes)
        # There may be a pad byte between two recordings.
        joined = any(begins_recording(source.at(at, 64)) for at in (end, end + 1))
        if not joined and _goes_on(source, end):
            declared, end = None, source.size  # the header counts only part of the audio
    count = present if declared is None else min(declared, present)
    shortfall = None
    if declared is not None and declared > present + _TOLERATED_BYTES:
        found = f"{declared:,} bytes of audio declared, {present:,} present"
        shortfall = Shortfall(found, declared / body.bytes_per_second if body.bytes_per_second else None)
    if body.is_mpeg and (inner := mpeg_layout(source, body.offset, body.offset + count)) is not None:
        return Layout(inner.parts, shortfall or inner.shortfall, length_unknown=declared is None), end
    head = _rewritten(source, start, body, count) if body.magic or body.rewrite or count != body.declared else b""
    frames = body.frames_of(count) if body.frames_of is not None else None
    return Layout((Part(start, end, head=head, frames=frames),), shortfall, length_unknown=declared is None), end


def _rewritten(source: ByteSource, start: int, body: Body, count: int) -> bytes:
    """Return the header with `count` as the number of audio bytes."""
    if body.offset - start > _HEAD_BYTES:
        return b""
    head = bytearray(source.at(start, body.offset - start))
    for place, data in body.fields(count).items():
        head[place - start : place - start + len(data)] = data
    return body.magic + bytes(head[len(body.magic) :])


def _end_of_chunks(source: ByteSource, offset: int, chunk_bytes: Callable[[int], int | None]) -> int:
    """Return the end of the chunks after the audio. Chunks begin at even offsets, but some writers ignore that."""
    for first in (offset + offset % 2, offset):
        at = first
        while (size := chunk_bytes(at)) is not None and at + size <= source.size + 1:
            at += size
        if at > first:
            return min(at, source.size)
    return offset


def is_chunk_name(name: bytes) -> bool:
    """Whether these bytes can be a chunk name: four printable characters."""
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)


def _goes_on(source: ByteSource, offset: int) -> bool:
    """Whether audio continues at `offset`: more than a few bytes that are neither zero padding nor a tag."""
    left = source.size - offset
    if left <= _UNCOUNTED_BYTES:
        return False
    data = source.at(offset, _UNCOUNTED_BYTES)
    return bool(data.strip(b"\0")) and data[:3] not in (b"ID3", b"TAG", b"APE")


def length_field(
    place: int, width: int, order: Literal["big", "little"], *, more: int = 0, beside: Mapping[int, bytes] = _NONE
) -> Fields:
    """Build `Body.fields` for a header with one length field at byte `place`: the audio bytes plus `more`."""
    most = (1 << 8 * width) - 1
    return lambda count: {**beside, place: min(count + more, most).to_bytes(width, order)}


def cut_in_header(name: str) -> CutShortError:
    """Return the error for a container that ends before its audio begins."""
    return CutShortError(f"it ends within its {name} header, before any audio")
