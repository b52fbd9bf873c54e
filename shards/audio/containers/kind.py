"""Detect a recording's format from its first bytes, and name files that are not recordings."""

from __future__ import annotations

from collections.abc import Callable

from shards.audio.audio_errors import CutShortError, UndecodableError
from shards.audio.containers import flac, ogg
from shards.audio.containers.byte_source import ByteSource
from shards.audio.containers.layout import Layout, Part
from shards.audio.containers.mpeg import mpeg_layout
from shards.audio.containers.plain import Body, plain_layout
from shards.audio.containers.rare_formats import (
    au_body,
    avr_body,
    caf_body,
    htk_body,
    iff_body,
    is_htk,
    sphere_body,
    voc_body,
)
from shards.audio.containers.riff import RIFF_MAGICS, W64_MAGIC, riff_body, w64_body
from shards.errors import Problem
from shards.file_content import ANNEX_POINTER, ARCHIVES, LFS_POINTER

_FIRST_BYTES = 64
_MAX_RECORDINGS = 10_000

_CONVERT = "convert it to FLAC or WAV"
# (offset, magic bytes, description, fix) of formats libsndfile cannot read, and of files that are not recordings.
_OTHERS: tuple[tuple[int, bytes, str, str | None], ...] = (
    (0, LFS_POINTER, "a Git LFS pointer", "fetch the recording itself: git lfs pull"),
    (0, ANNEX_POINTER, "a git-annex pointer", "fetch the recording itself: git annex get"),
    *((0, archive.magic, archive.name, archive.fix) for archive in ARCHIVES),
    (0, b"PK\x05\x06", "an empty ZIP archive", None),
    (257, b"ustar", "a tar archive", "unpack it"),
    (0, b"\x00\x05\x16\x07", "a macOS metadata file (AppleDouble), not a recording", "delete it"),
    (0, b"\x00\x05\x16\x00", "a macOS metadata file (AppleSingle), not a recording", "delete it"),
    (0, b"#!SILK", "SILK, which libsndfile does not read", _CONVERT),
    (0, b"\x02#!SILK", "SILK, which libsndfile does not read", _CONVERT),
    (0, b"ajkg", "Shorten, which libsndfile does not read", _CONVERT),
    (8, b"WEBP", "a picture (WebP)", None),
    (0, b"\x89PNG", "a picture (PNG)", None),
    (0, b"\xff\xd8\xff", "a picture (JPEG)", None),
    (0, b"GIF8", "a picture (GIF)", None),
    (0, b"%PDF", "a PDF document", None),
    (0, b"\x93NUMPY", "a NumPy array", "save it as WAV or FLAC"),
    (0, b"PAR1", "a Parquet table", None),
    (0, b"SQLite format 3", "an SQLite database", None),
)
_SAMPLE_BYTES = 1024

# Containers that libsndfile reads but whose declared length is not checked against the data.
_LENGTH_UNKNOWN = (
    # These declare no length: PAF, PVF, IRCAM.
    (0, b" paf"),
    (0, b"fap "),
    (0, b"PVF1"),
    (0, b"\x64\xa3"),
    (2, b"\xa3\x64"),
    # These are too rare to parse: XI, MAT5, MAT4 in either byte order, WVE, SDS, MPC 2000.
    (0, b"Extended Instrument: "),
    (0, b"MATLAB"),
    (0, b"\x00\x00\x03\xe8\x00\x00\x00\x01"),
    (0, b"\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00"),
    (0, b"ALawSoundFile"),
    (0, b"\xf0\x7e"),
    (0, b"\x01\x04"),
)


def what_it_is(data: bytes) -> Problem | None:
    """Name the kind of file these first bytes belong to if libsndfile cannot read it; None if unknown."""
    if not data:
        return Problem("an empty file")
    if not data.strip(b"\0"):
        return Problem("nothing but zero bytes, as left by an interrupted download")
    for place, magic, name, fix in _OTHERS:
        if data[place : place + len(magic)] == magic:
            return Problem(name, fix)
    text = _text_kind(data)
    return Problem(text) if text else None


def _text_kind(data: bytes) -> str | None:
    """Describe a text file: an error page in place of a download, a transcript, a link. None if it is not text."""
    encodings = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
    try:
        text = data[: len(data) - len(data) % 2 if data[:2] in encodings else len(data)].decode(
            encodings.get(data[:2], "utf-8")
        )
    except UnicodeDecodeError as error:
        if error.end < len(data) - 4:  # the error is not just a character cut in half at the end
            return None
        text = data[: error.start].decode("utf-8", "ignore")
    if any(character < " " and character not in "\t\n\r\f\x1b" for character in text):
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if (start.startswith("<?xml") and "<html" not in start) or start.startswith("<error"):
        return "an XML file, such as an error message from an object store in place of a download"
    if start.startswith("<") and any(name in start for name in ("<!doctype html", "<html", "<head", "<body")):
        return "an HTML page, such as an error or login page in place of a download"
    if start.startswith(("{", "[")):
        return "a JSON file, such as a server's error message in place of a download"
    shown = " ".join(text.replace("\ufeff", "").split())[:40]
    return f"a text file that begins with {shown!r}" if shown else None


def layout_of(source: ByteSource) -> Layout:
    """Return the layout of a recording. If several recordings are concatenated, the layout covers all of them.

    Raises:
        UndecodableError: the data is not a recording libsndfile can read; the message says what it is.
        CutShortError: the data ends before the audio begins.
    """
    layout, end = _one_recording(source, 0)
    number = 1
    # There may be a pad byte between two recordings.
    while end < source.size and (start := _next_start(source, end)) is not None and number < _MAX_RECORDINGS:
        following, end = _one_recording(source, start)
        layout = layout.joined(following)
        number += 1
    return layout


def _next_start(source: ByteSource, end: int) -> int | None:
    return next((at for at in (end, end + 1) if _begins_recording(source.at(at, _FIRST_BYTES))), None)


def _begins_recording(data: bytes) -> bool:
    return _body_of(data) is not None or data[: len(flac.FIRST_BLOCKS[0])] in flac.FIRST_BLOCKS


def _body_of(data: bytes) -> Callable[[ByteSource, int], Body] | None:
    magic = data[:4]
    if magic in RIFF_MAGICS and data[8:12] == b"WAVE":
        return riff_body
    if magic == b"FORM" and data[8:12] in (b"AIFF", b"AIFC", b"8SVX", b"16SV"):
        return iff_body
    if magic in (b".snd", b"dns."):
        return au_body
    if magic == b"caff":
        return caf_body
    if data[:16] == W64_MAGIC:
        return w64_body
    if data[:20] == b"Creative Voice File\x1a":
        return voc_body
    if data[:7] == b"NIST_1A":
        return sphere_body
    if magic == b"2BIT":
        return avr_body
    return htk_body if is_htk(data) else None


def _one_recording(source: ByteSource, start: int) -> tuple[Layout, int]:
    head = source.at(start, _SAMPLE_BYTES)
    tagged = without_tags(source, start)
    behind_tags = source.at(tagged, _FIRST_BYTES)
    body_of = _body_of(behind_tags)
    if body_of is not None:
        return plain_layout(source, tagged, body_of(source, tagged), _begins_recording)
    if behind_tags[:4] == ogg.MAGIC:
        return ogg.ogg_layout(source, tagged), source.size
    if behind_tags[:4] == flac.MAGIC:
        return flac.flac_layout(source, tagged)
    # Checked before searching for MPEG frames, because 32-bit samples can look like MPEG frames.
    if any(head[place : place + len(magic)] == magic for place, magic in _LENGTH_UNKNOWN):
        return Layout((Part(start, source.size),), length_unknown=True), source.size
    kind = what_it_is(head)
    # An MP3 may begin with zero bytes.
    if kind is not None and head.strip(b"\0"):
        raise UndecodableError(f"it is {kind.found}", kind.fix)
    mpeg = mpeg_layout(source, start, source.size)
    if mpeg is not None:
        return mpeg, source.size
    if head[:3] == b"ID3":
        raise CutShortError("it contains an ID3 tag with no audio after it")
    # Stop here: libsndfile would search for MPEG frames at every byte, which takes hours on a large file.
    kind = kind or Problem("not in a format that libsndfile reads")
    raise UndecodableError(f"it is {kind.found}", kind.fix)


def without_tags(source: ByteSource, start: int) -> int:
    """Return where the recording begins behind the ID3 tags at `start`."""
    while (head := source.at(start, 10))[:3] == b"ID3" and len(head) == 10 and max(head[6:]) < 0x80:
        start += 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + (10 if head[5] & 0x10 else 0)
    return start
