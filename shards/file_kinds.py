"""Classify the files in a folder of recordings by their names."""

from __future__ import annotations

import os
import re
from enum import Enum

from shards.members import AUDIO_EXTENSIONS, UNREAD_AUDIO, VIDEO


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


# Transcript formats that other tools write beside a recording. Only clip.txt is read.
OTHER_TRANSCRIPTS = _words("ass cha ctm eaf json lab lrc phn sbv srt stm textgrid trn trs vtt wrd xml")
TABLES = _words("csv jsonl parquet tsv xlsx")

_TEMPORARY = _words("bak crdownload download filepart part partial swp temp tmp")
_SYSTEM_NAMES = frozenset(
    ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db", "desktop.ini")
)
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|copyright|notice|authors|changelog|changes|about|info)\b", re.I)


class FileKind(Enum):
    """How a folder source treats a file."""

    RECORDING = "recording"
    UNREAD = "recording of a kind that is not read"
    TRANSCRIPT = "transcript"
    OTHER = "other"


def extension_of(name: str) -> str:
    """Return the extension in lower case: `wav` for `CLIP.WAV`; empty if there is none."""
    return os.path.splitext(name)[1].lower()[1:]


def kind_of(name: str) -> FileKind:
    """Classify a file that is not hidden."""
    extension = extension_of(name)
    if extension in AUDIO_EXTENSIONS:
        return FileKind.RECORDING
    if extension in UNREAD_AUDIO or extension in VIDEO:
        return FileKind.UNREAD
    if extension == "txt" and not _ABOUT.match(name) and not name.lower().endswith(".trans.txt"):
        return FileKind.TRANSCRIPT
    return FileKind.OTHER


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, temporary, or created by the operating system for its own use."""
    return (
        name.startswith(".") or name.endswith("~") or name.lower() in _SYSTEM_NAMES or extension_of(name) in _TEMPORARY
    )


def may_hold_transcripts(name: str) -> bool:
    """Whether a file may be a table of transcripts of many recordings."""
    lowered = name.lower()
    return extension_of(name) in TABLES or lowered.endswith(("trans.txt", "transcript.txt", "transcripts.txt"))
