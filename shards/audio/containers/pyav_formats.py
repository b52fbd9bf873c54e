"""Formats that PyAV (FFmpeg) reads and libsndfile does not: how each begins, and whether it states its length."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
from dataclasses import dataclass

INSTALL = "pip install 'mms-dist[av]'"
HEAD_BYTES = 1024

_ADTS_RATES = 13


@dataclass(frozen=True, slots=True)
class PyavFormat:
    """A container: `name` for people, `demuxer` for FFmpeg. `states_length`: it says how long the recording is."""

    name: str
    demuxer: str
    states_length: bool = True


_MP4 = PyavFormat("MP4 (M4A, AAC)", "mov")
_AMR = PyavFormat("AMR", "amr", states_length=False)
_AAC = PyavFormat("AAC", "aac", states_length=False)
_G722 = PyavFormat("G.722", "g722", states_length=False)
_MAGICS: tuple[tuple[int, bytes, PyavFormat], ...] = (
    *((4, box, _MP4) for box in (b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"pnot")),
    (0, b"\x1a\x45\xdf\xa3", PyavFormat("WebM or Matroska", "matroska")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", PyavFormat("WMA", "asf")),
    (0, b"#!AMR", _AMR),
    (0, b"wvpk", PyavFormat("WavPack", "wv")),
    (0, b"MAC ", PyavFormat("Monkey's Audio", "ape")),
    (0, b"TTA1", PyavFormat("True Audio", "tta")),
    (0, b"FLV\x01", PyavFormat("Flash video", "flv")),
    (8, b"AVI ", PyavFormat("AVI video", "avi")),
    (0, b"\x00\x00\x01\xba", PyavFormat("MPEG video", "mpeg", states_length=False)),
)
_TRANSPORT = PyavFormat("MPEG transport stream", "mpegts", states_length=False)
TRANSPORT_PACKET = 188


@functools.cache
def pyav_is_installed() -> bool:
    """Whether PyAV can be imported."""
    return importlib.util.find_spec("av") is not None


def pyav_version() -> str:
    """Return PyAV's version; empty if it is not installed."""
    return importlib.metadata.version("av") if pyav_is_installed() else ""


def pyav_format(data: bytes, name: str = "") -> PyavFormat | None:
    """Return the format of a recording that begins with these bytes; None if PyAV is not needed or does not help.

    Args:
        name: the name of its file. G.722 has no mark of its own, so it counts if the name ends in .g722.
    """
    for place, magic, found in _MAGICS:
        if data[place : place + len(magic)] == magic:
            return found
    if adts_frame(data) is not None:
        return _AAC
    if len(data) > 2 * TRANSPORT_PACKET and all(data[at] == 0x47 for at in range(0, len(data), TRANSPORT_PACKET)):
        return _TRANSPORT
    return _G722 if name.lower().endswith(".g722") else None


def adts_frame(head: bytes) -> int | None:
    """Return the bytes of the AAC frame that begins here (ISO/IEC 13818-7, 6.2); None if none does."""
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    if len(head) < 7:
        return 7
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size >= 7 and head[2] >> 2 & 15 < _ADTS_RATES else None
