"""The files of a folder: list all of them, following links, and classify them by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from shards.audio.extensions import ALL_EXTENSIONS, readable_extensions
from shards.errors import SourceError
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
    """A file as it was reached. There may be millions, so what the files of a folder share is stored once.

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


def files_below(
    root: Path, *, place_of: Callable[[tuple[str, ...]], Hashable], ignore: Path | None = None
) -> Iterator[FoundFile]:
    """Yield every file below `root`. A link to a file or folder counts as that file or folder.

    Args:
        place_of: what a folder's path from the root means. A folder that links reach several times is visited once for
            each meaning, so that circular links end.
        ignore: a folder to skip, such as the output.

    Raises:
        SourceError: a folder cannot be read.
    """
    ignored = os.path.realpath(ignore) if ignore else None
    waiting: list[tuple[str, tuple[str, ...], str, bool]] = [(str(root), (), os.path.realpath(root), False)]
    linked: list[tuple[str, tuple[str, ...], str, bool]] = []
    visited: set[Hashable] = set()
    while waiting or linked:
        # Links are followed last, so that a file is first found at its real path.
        folder, folders, real, hidden = (waiting or linked).pop()
        visit = (real, hidden, place_of(folders))
        if visit in visited or (real == ignored and folders):
            continue
        visited.add(visit)
        for entry in _entries(folder, hidden=hidden):
            link = entry.is_symlink()
            place = os.path.realpath(entry.path) if link else os.path.join(real, entry.name)
            concealed = hidden or is_hidden(entry.name)
            if not (os.path.isdir(entry.path) if link else entry.is_dir(follow_symlinks=False)):
                yield FoundFile(entry.name, folder, folders, real, place if link else None, concealed)
            elif not link:
                waiting.append((entry.path, (*folders, entry.name), place, concealed))
            elif not f"{real}{os.sep}".startswith(f"{place}{os.sep}"):  # not a link to a folder above it
                linked.append((entry.path, (*folders, entry.name), place, concealed))


def _entries(folder: str, *, hidden: bool) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        if hidden:  # for example lost+found, which only root can read
            return []
        raise SourceError(
            f"folder {printable(folder)} cannot be read: {error.strerror or error}",
            fix="change its permissions, or move it out of the source",
        ) from error
