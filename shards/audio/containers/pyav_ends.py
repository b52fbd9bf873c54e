"""Find out from the structure of a container that PyAV reads whether the end of the file is missing.

FFmpeg reads what is there without a word. So the boxes, elements, chunks or frames are followed to see whether the last
one ends after the file does.
"""

from __future__ import annotations

from collections.abc import Callable

from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.pyav_formats import TRANSPORT_PACKET, PyavFormat, adts_frame

# Bytes of a frame, its header included, by mode: RFC 4867, section 5.3. Modes without a size are not speech.
_AMR_FRAMES = {0: 13, 1: 14, 2: 16, 3: 18, 4: 20, 5: 21, 6: 27, 7: 32, 8: 6, 15: 1}
_AMR_WIDE_FRAMES = {0: 18, 1: 24, 2: 33, 3: 37, 4: 41, 5: 47, 6: 51, 7: 59, 8: 61, 9: 6, 14: 1, 15: 1}
_AMR_MAGIC, _AMR_WIDE_MAGIC = b"#!AMR\n", b"#!AMR-WB\n"

# From a source and the start of a unit in it: where the unit ends; None if there is none or it has no known end.
_Unit = Callable[[ByteSource, int], int | None]


def lacks_end(source: ByteSource, start: int, found: PyavFormat) -> bool:
    """Whether the file ends within a unit of its container. False also for containers that are not followed."""
    if found.demuxer == "mpegts":
        return (source.size - start) % TRANSPORT_PACKET != 0
    if found.demuxer == "amr":
        wide = source.at(start, len(_AMR_WIDE_MAGIC)) == _AMR_WIDE_MAGIC
        sizes = _AMR_WIDE_FRAMES if wide else _AMR_FRAMES
        start += len(_AMR_WIDE_MAGIC if wide else _AMR_MAGIC)
        return _ends_after(source, start, lambda source, at: _amr_frame(source, at, sizes))
    units: dict[str, _Unit] = {"aac": _adts, "mov": _mp4_box, "matroska": _ebml_element, "avi": _chunk, "flv": _flv_tag}
    unit = units.get(found.demuxer)
    return unit is not None and _ends_after(source, start, unit)


def _ends_after(source: ByteSource, at: int, unit: _Unit) -> bool:
    while at < source.size:
        end = unit(source, at)
        if end is None or end <= at:  # a tag or padding, of which nothing is known
            return False
        at = end
    return at > source.size


def _adts(source: ByteSource, at: int) -> int | None:
    size = adts_frame(source.at(at, 7))
    return None if size is None else at + size


def _amr_frame(source: ByteSource, at: int, sizes: dict[int, int]) -> int | None:
    size = sizes.get(source.at(at, 1)[0] >> 3 & 15)
    return None if size is None else at + size


def _mp4_box(source: ByteSource, at: int) -> int | None:
    """A box: 4 bytes of size, 4 of type, 8 of size where the first is 1 (ISO/IEC 14496-12, 4.2)."""
    head = source.at(at, 16)
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return at + max(size, 8) if size else None  # 0: up to the end, wherever that is


def _ebml_element(source: ByteSource, at: int) -> int | None:
    """An element: its number, its size, its content (RFC 8794, 4 and 5). A size of ones only is unknown."""
    head = source.at(at, 12)
    number = _vint_bytes(head[:1])
    length = _vint_bytes(head[number : number + 1])
    if not number or not length or len(head) < number + length:
        return None
    size = int.from_bytes(head[number : number + length], "big") & ((1 << 7 * length) - 1)
    return None if size == (1 << 7 * length) - 1 else at + number + length + size


def _vint_bytes(first: bytes) -> int:
    return 9 - first[0].bit_length() if first and first[0] else 0


def _chunk(source: ByteSource, at: int) -> int | None:
    head = source.at(at, 8)
    size = int.from_bytes(head[4:], "little")
    # A size that was never filled in, as after a crash of the recorder, says nothing.
    return at + 8 + size + size % 2 if head[:4] == b"RIFF" and size not in (0, 0xFFFFFFFF) else None


def _flv_tag(source: ByteSource, at: int) -> int | None:
    """The file's header, or a tag, each with the size of what is before it behind it (FLV 10.1, annex E)."""
    head = source.at(at, 11)
    if head[:3] == b"FLV":
        return at + int.from_bytes(head[5:9], "big") + 4
    return at + 11 + int.from_bytes(head[1:4], "big") + 4 if head[0] & 31 in (8, 9, 18) else None
