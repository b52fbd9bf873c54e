"""Read a folder of recordings with transcripts beside them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from shards.audio.extensions import AUDIO_EXTENSIONS
from shards.drops import REASONS, Drop
from shards.errors import SourceError
from shards.sources.audio_reference import AudioFile
from shards.sources.folder_files import FileKind, FoundFile, extension_of, files_below, kind_of, may_hold_transcripts
from shards.sources.folder_names import EVALUATION, FolderNames, Folders, Place
from shards.sources.folder_pairs import Clip, Unused, pair
from shards.sources.rows import LeftOut, Note, RowError, SourceRow, check_text, decode_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.wording import counted, printable

Places = dict[Folders, Place]
# If several links lead to one recording, the one in the first of these splits is used.
_PRECEDENCE = ("test", "dev", "train", None)
_MAX_TEXT_BYTES = 1 << 20


class Folder:
    """A folder of recordings: every `clip.<audio>` with its `clip.txt`, at any depth.

    The language is the name of the folder above a recording. The split is the name of a folder above or below that
    one, if it is named as a split. With a language given, only recordings in folders of that name are read; if there
    is no such folder, all recordings are in that language.
    """

    name = "folder"
    expected = "a folder of recordings"
    row_noun = "recordings"
    uses = frozenset[str]()

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it is a folder."""
        return os.path.isdir(place.path)

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, sorted by path, and all other files."""
        root = place.path
        if not os.path.isdir(root):
            raise SourceError(f"no folder {place}")
        language = options.language
        names = FolderNames(root, language)
        found = list(files_below(root, place_of=names.place, ignore=options.skip))
        recordings = [file for file in found if not file.hidden and _is_sound(file)]
        if any(map(names.name_given, (file.folders for file in recordings))):
            found, recordings = (
                [file for file in files if names.name_given(file.folders)] for files in (found, recordings)
            )
        if not any(kind_of(file.name) is FileKind.RECORDING for file in recordings):
            raise _no_recording(root, found)
        places = _places(names, found, recordings)
        clips, unused = _pair_all(found)
        clips, linked = _one_per_recording(clips, places)
        _check_places(clips, places)
        yield from (_left_out(item, places) for item in [*unused, *linked])
        for clip in sorted(clips, key=lambda clip: clip.recording.path.parts):
            place_of_clip = places[clip.recording.folders]
            try:
                yield _row(clip, place_of_clip)
            except RowError as error:
                yield error.at(clip.recording.shown, place_of_clip.language)
        yield from map(Note, names.notes({file.folders for file in recordings}))


def _is_sound(file: FoundFile) -> bool:
    return kind_of(file.name) in (FileKind.RECORDING, FileKind.UNREAD)


def _places(names: FolderNames, found: Sequence[FoundFile], recordings: Sequence[FoundFile]) -> Places:
    """Return language and split of every folder that holds a file."""
    split_parents = names.split_parents({file.folders for file in recordings})
    places = {folders: names.place(folders, split_parents) for folders in {file.folders for file in found}}
    has_dev = any(places[file.folders].split == "dev" for file in recordings)
    evaluation = "test" if has_dev else "dev"
    return {
        folders: replace(place, split=evaluation) if place.split == EVALUATION else place
        for folders, place in places.items()
    }


def _pair_all(found: Sequence[FoundFile]) -> tuple[list[Clip], list[Unused]]:
    """Return all clips, and every file that belongs to none, once."""
    tables = {file.folders: printable(file.name) for file in found if may_hold_transcripts(file.name)}
    by_folder: defaultdict[Folders, list[FoundFile]] = defaultdict(list)
    clips: list[Clip] = []
    unused: list[Unused] = []
    for file in found:
        if file.hidden:
            macos = "macOS metadata, not a recording" if file.name.startswith("._") else ""
            unused.append(Unused(file, "hidden_file", macos))
        else:
            by_folder[file.folders].append(file)
    for folders, files in by_folder.items():
        above = (folders[:depth] for depth in range(len(folders), -1, -1))
        table = next((tables[path] for path in above if path in tables), None)
        clips_here, unused_here = pair(files, table)
        clips += clips_here
        unused += unused_here
    # Links may lead to a file twice.
    seen = {file.real for clip in clips for file in (clip.recording, clip.transcript) if file}
    once = []
    for item in sorted(unused, key=lambda item: item.file.path.parts):
        if item.file.real not in seen:
            seen.add(item.file.real)
            once.append(item)
    return clips, once


def _one_per_recording(clips: Sequence[Clip], places: Places) -> tuple[list[Clip], list[Unused]]:
    """Keep each recording once per language if links lead to it several times; held-out splits take precedence."""
    by_recording: defaultdict[tuple[str, str | None], list[Clip]] = defaultdict(list)
    clear = {clip.recording.real for clip in clips if not places[clip.recording.folders].problem}
    for clip in clips:
        place = places[clip.recording.folders]
        if place.problem and clip.recording.real in clear:
            continue  # a link to a recording that is used under a clear path
        by_recording[clip.recording.real, place.language].append(clip)
    kept: list[Clip] = []
    linked: list[Unused] = []
    for alike in by_recording.values():
        first, *rest = sorted(
            alike,
            key=lambda clip: (
                _PRECEDENCE.index(places[clip.recording.folders].split),
                str(clip.recording.path) != clip.recording.real,
                clip.recording.path.parts,
            ),
        )
        kept.append(first)
        linked += [
            Unused(clip.recording, "duplicate", f"a link to the same recording as {first.recording.shown}")
            for clip in rest
        ]
    return kept, linked


def _check_places(clips: Sequence[Clip], places: Places) -> None:
    unclear = sorted(
        (clip.recording.path.parts, clip.recording) for clip in clips if places[clip.recording.folders].problem
    )
    if not unclear:
        return
    first = unclear[0][1]
    problem = places[first.folders].problem
    assert problem is not None
    others = f" and {counted(len(unclear) - 1, 'other')}" if len(unclear) > 1 else ""
    raise SourceError(f"{problem.found} (the folder of {printable(str(first.path))}{others})", fix=problem.fix)


def _left_out(item: Unused, places: Places) -> LeftOut:
    drop = Drop(item.reason, item.file.shown, item.detail)
    kind = f".{extension_of(item.file.name)}" if item.reason == "unread_format" else ""
    return LeftOut(drop, places[item.file.folders].language, kind)


def _row(clip: Clip, place: Place) -> SourceRow:
    assert place.language is not None
    return SourceRow(
        audio=AudioFile(clip.recording.path),
        name=clip.recording.shown,
        text=_read_text(clip.transcript) if clip.transcript else None,
        language=place.language,
        where=printable(str(clip.recording.path)),
        split=place.split,
        detail=clip.beside,
    )


def _read_text(file: FoundFile) -> str:
    where = printable(str(file.path))
    if os.path.exists(file.path) and not os.path.isfile(file.path):  # reading a pipe would block
        raise RowError(where, "row_value", "it is not a regular file")
    try:
        with open(file.path, "rb") as stream:
            data = stream.read(_MAX_TEXT_BYTES)
    except OSError as error:
        raise RowError(where, "row_value", f"it cannot be read: {error.strerror or error}") from error
    if len(data) == _MAX_TEXT_BYTES:
        raise RowError(where, "row_value", "it has more than 1 MiB, expected the text of one utterance")
    return check_text(decode_text(data, where).removeprefix("\ufeff").strip(), "the transcript", where)


def _no_recording(folder: Path, found: Sequence[FoundFile]) -> SourceError:
    """Return the error for a folder without recordings, given the files that it holds."""
    shown = printable(str(folder))
    message = f"no recording below {shown}: expected clip.<{'|'.join(AUDIO_EXTENSIONS)}> with clip.txt"
    extensions = Counter(extension_of(file.name) for file in found if not file.hidden)
    if not extensions:
        return SourceError(f"{message}, found {counted(len(found), 'hidden file')}" if found else message)
    most = sorted(extensions.items(), key=lambda item: (-item[1], item[0]))[:5]
    kinds = [f"{number:,} .{name}" if name else f"{number:,} others" for name, number in most]
    fix = None
    if any(not file.hidden and kind_of(file.name) is FileKind.UNREAD for file in found):
        fix = REASONS["unread_format"].fix
    elif "tar" in extensions:
        fix = f"index tars of recordings with: mms-dist shards index {shown}"
    elif extensions.keys() & {"tsv", "jsonl"}:
        fix = "name the manifest itself: mms-dist shards build MANIFEST SHARDS"
    return SourceError(f"{message}, found {', '.join(kinds)}", fix)
