"""Ogg: check that the pages are in order and undamaged, up to the end-of-stream page.

Format: RFC 3533, https://www.rfc-editor.org/rfc/rfc3533.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from shards.audio.audio_errors import CutShortError, UndecodableError
from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.layout import Layout, Part, Shortfall
from shards.errors import Problem
from shards.wording import counted

MAGIC = b"OggS"
_HEADER_BYTES = 27
_BEGINS, _ENDS = 2, 4
FLAC_MAGIC = b"\x7fFLAC"
FLAC_IN_OGG = Problem(
    "it is FLAC in Ogg, which this libsndfile does not read", "extract it: ffmpeg -i clip.oga -c copy clip.flac"
)
_CODECS = {b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", FLAC_MAGIC: "FLAC", b"Speex   ": "Speex"}

# zlib's CRC processes the lowest bit first, Ogg's the highest bit first.
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(slots=True, kw_only=True)
class _Link:
    """One Ogg file in a chain: the `serial` of its audio stream, and that stream's `pages` as (offset, size)."""

    start: int
    stop: int
    serial: int | None = None
    has_data: bool = False
    has_others: bool = False
    pages: list[tuple[int, int]] = field(default_factory=list)
    ended: bool = False
    last_sequence: int = -1
    last_position: int = 0


def page_checksum(page: bytes) -> int:
    """Return the checksum of a page whose checksum field is set to zero."""
    found = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2)


def ogg_layout(source: ByteSource, start: int) -> Layout:
    """Return the layout of the chain of Ogg streams that begins at `start`.

    Raises:
        UndecodableError: a page is damaged or missing, or there is no audio.
    """
    layout: Layout | None = None
    for link in _links(source, start):
        shortfall = None if link.ended else Shortfall("the end-of-stream Ogg page is missing")
        found = Layout((_part_of(source, link),), shortfall)
        layout = found if layout is None else layout.joined(found)
    assert layout is not None
    return layout


def _part_of(source: ByteSource, link: _Link) -> Part:
    """Keep only the audio pages: libsndfile rejects files that also hold a skeleton, subtitles or video."""
    if not link.has_others:
        return Part(link.start, link.stop)
    pages = b"".join(source.at(offset, size) for offset, size in link.pages)
    return Part(link.start, link.start + len(pages), head=pages)


def _links(source: ByteSource, offset: int) -> list[_Link]:
    links: list[_Link] = []
    while (offset := source.find(MAGIC, offset)) >= 0:
        header = source.at(offset, _HEADER_BYTES + 255)
        segments = header[26] if len(header) >= _HEADER_BYTES else 255
        size = _HEADER_BYTES + segments + sum(header[_HEADER_BYTES : _HEADER_BYTES + segments])
        page = source.at(offset, size)
        if len(page) < size:
            if not any(link.has_data for link in links):
                raise CutShortError("it ends within its first Ogg pages, before any audio")
            break
        damaged = page_checksum(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little")
        if damaged:
            raise UndecodableError(f"the Ogg page at byte {offset:,} is damaged (its checksum differs)")
        _add_page(links, page, _HEADER_BYTES + segments, offset)
        offset += size
        links[-1].stop = offset
    audible = [link for link in links if link.serial is not None]
    if not audible:
        raise UndecodableError("it is an Ogg file without Vorbis, Opus or FLAC audio")
    return audible


def _add_page(links: list[_Link], page: bytes, body: int, offset: int) -> None:
    flags, serial = page[5], int.from_bytes(page[14:18], "little")
    position = int.from_bytes(page[6:14], "little", signed=True)
    sequence = int.from_bytes(page[18:22], "little")
    if flags & _BEGINS:
        if not links or links[-1].has_data:
            links.append(_Link(start=offset, stop=offset))
        link = links[-1]
        codec = next((name for magic, name in _CODECS.items() if page[body : body + len(magic)] == magic), None)
        if codec == "Speex":
            raise UndecodableError("it is Speex in Ogg, which libsndfile does not read", "convert it to FLAC or WAV")
        if codec is not None and link.serial is None:
            link.serial = serial
            link.pages.append((offset, len(page)))
        else:
            link.has_others = True
        return
    if not links:
        raise UndecodableError("it is an Ogg stream that lacks its first page")
    link = links[-1]
    link.has_data = True
    if serial != link.serial:
        return
    # Broadcast captures join the header pages to a page from mid-stream. After that, no page may be missing.
    if link.last_position > 0 and sequence > link.last_sequence + 1:
        raise UndecodableError(f"{counted(sequence - link.last_sequence - 1, 'Ogg page')} missing at byte {offset:,}")
    if 0 <= position < link.last_position:
        raise UndecodableError(f"the Ogg page at byte {offset:,} goes back in time")
    link.pages.append((offset, len(page)))
    link.last_sequence = sequence
    link.last_position = max(link.last_position, position)
    link.ended = bool(flags & _ENDS)
