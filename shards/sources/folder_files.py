"""The files of a folder, classified by their names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from shards.audio.extensions import ALL_EXTENSIONS, readable_extensions
from shards.wording import printable


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
    if extension in readable_extensions():
        return FileKind.RECORDING
    if extension in ALL_EXTENSIONS:
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


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as it was reached. A folder may have millions, so what its files share is stored once.

    `folder`: its folder; `folders`: the path of that from the root; `real_folder`: that with links resolved; `target`:
    if the file is a link, where it leads.
    """

    name: str
    folder: str
    folders: tuple[str, ...]
    real_folder: str
    target: str | None
    hidden: bool

    @property
    def path(self) -> Path:
        """The file's path."""
        return Path(self.folder, self.name)

    @property
    def real(self) -> str:
        """The file's path with links resolved."""
        return os.path.join(self.real_folder, self.name) if self.target is None else self.target

    @property
    def empty(self) -> bool:
        """Whether the file has no bytes, or is a broken link."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return True

    @property
    def shown(self) -> str:
        """The path below the root, as printable text."""
        return printable("/".join((*self.folders, self.name)))
