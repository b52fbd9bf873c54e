"""Match the recordings and transcripts of one folder, and list the files left over."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from shards.audio.extensions import readable_extensions
from shards.sources.folder_files import OTHER_TRANSCRIPTS, TABLES, FileKind, FoundFile, extension_of, kind_of
from shards.wording import printable


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording with its transcript. Without one, `beside` says what was found in place of clip.txt."""

    recording: FoundFile
    transcript: FoundFile | None
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Unused:
    """A file that yields no utterance, and why."""

    file: FoundFile
    reason: str
    detail: str = ""


def pair(files: Sequence[FoundFile], table: str | None) -> tuple[list[Clip], list[Unused]]:
    """Return the clips of one folder, and its unused files. Every file is part of a clip or unused.

    A recording and a transcript belong together if their names are equal except for the extension. If a recording has
    no such transcript, a name that differs only in case matches too, provided that no third file matches as well.

    Args:
        files: all files of the folder that are not hidden.
        table: a table in this folder or above that may hold transcripts.
    """
    kinds: defaultdict[FileKind, list[FoundFile]] = defaultdict(list)
    for file in files:
        kinds[kind_of(file.name)].append(file)
    takes: defaultdict[str, list[FoundFile]] = defaultdict(list)
    for file in kinds[FileKind.RECORDING] + kinds[FileKind.UNREAD]:
        takes[_stem(file)].append(file)
    texts, others = _by_stem(kinds[FileKind.TRANSCRIPT]), _by_stem(kinds[FileKind.OTHER])
    folded_takes = Counter(stem.casefold() for stem in takes)
    folded_texts: defaultdict[str, list[str]] = defaultdict(list)
    for stem in texts:
        if stem not in takes:
            folded_texts[stem.casefold()].append(stem)

    clips: list[Clip] = []
    unused: list[Unused] = []
    for stem, recordings in takes.items():
        alike = folded_texts[stem.casefold()]
        if stem not in texts and len(alike) == 1 and folded_takes[stem.casefold()] == 1:
            transcripts = texts.pop(alike[0])
        else:
            transcripts = texts.pop(stem, [])
        first, *rest = sorted(recordings, key=_preference) if len(recordings) > 1 else recordings
        if kind_of(first.name) is FileKind.UNREAD:
            unused += [Unused(file, "unread_format", _unread(file)) for file in recordings]
            continue
        unused += [Unused(file, "duplicate", f"the same clip as {printable(first.name)}") for file in rest]
        if len(transcripts) == 1:
            clips.append(Clip(first, transcripts[0]))
            continue
        beside = _beside(transcripts, others.get(stem, []), table)
        if not transcripts:
            sidecars = [file for file in others.get(stem, []) if extension_of(file.name) in OTHER_TRANSCRIPTS]
            others[stem] = [file for file in others.get(stem, []) if file not in sidecars]
        clips.append(Clip(first, None, beside))
    unused += [Unused(file, "missing_audio", "no recording beside it") for left in texts.values() for file in left]
    unused += [Unused(file, "other_file") for left in others.values() for file in left]
    return clips, unused


def _by_stem(files: Sequence[FoundFile]) -> dict[str, list[FoundFile]]:
    found: dict[str, list[FoundFile]] = {}
    for file in files:
        found.setdefault(_stem(file), []).append(file)
    return found


def _stem(file: FoundFile) -> str:
    return unicodedata.normalize("NFC", os.path.splitext(file.name)[0])


def _preference(file: FoundFile) -> tuple[bool, bool, int, str]:
    """Sort key for the formats of one clip: readable, then not empty, then lossless first."""
    extension = extension_of(file.name)
    order = readable_extensions()
    unread = extension not in order
    return unread, file.empty, 0 if unread else order.index(extension), file.name


def _unread(file: FoundFile) -> str:
    return f".{extension_of(file.name)} is not read"


def _beside(transcripts: Sequence[FoundFile], others: Sequence[FoundFile], table: str | None) -> str:
    if transcripts:
        names_shown = " and ".join(sorted(printable(file.name) for file in transcripts))
        return f"{names_shown} could both be its transcript"
    names = [printable(file.name) for file in others if extension_of(file.name) in OTHER_TRANSCRIPTS]
    if names:
        return f"{names[0]} lies beside it, and only .txt is read: write the text to a .txt, or make a manifest"
    if table is None:
        return ""
    if extension_of(table) in TABLES - {"xlsx"}:
        return f"build from {table} if it contains the transcripts; --columns says what its columns hold"
    return f"make a manifest of {table}, if that contains the transcripts"
