"""Read a folder of recordings with transcripts beside them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shards.audio.extensions import AUDIO_EXTENSIONS
from shards.drops import REASONS, Drop
from shards.errors import SourceError
from shards.sources.audio_reference import AudioFile
from shards.sources.folder_clips import Clips, Links, Places, in_order
from shards.sources.folder_files import FileKind, FoundFile, extension_of, kind_of, may_hold_transcripts
from shards.sources.folder_names import EVALUATION, FolderNames, Folders, Place
from shards.sources.folder_pairs import Clip, Unused
from shards.sources.folder_tree import FolderTree, FoundFolder
from shards.sources.rows import LeftOut, Note, RowError, SourceRow, check_text, decode_text
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.wording import counted, printable

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
        """Yield the utterances, sorted by path, and all other files.

        The tree is gone through twice, so that its files need not be kept: first for what its folders hold, which
        decides what they mean, and then for the clips. Only if links lead to a file more than once, it is gone through
        again to choose between them.
        """
        root = place.path
        if not os.path.isdir(root):
            raise SourceError(f"no folder {place}")
        names = FolderNames(root, options.language)
        tree = FolderTree(root, place_of=names.place, ignore=options.skip)
        found = [_surveyed(folder, files) for folder, files in tree.scan()]
        with_sound = [one.folder.folders for one in found if one.sounds]
        if any(map(names.name_given, with_sound)):
            found = [one for one in found if names.name_given(one.folder.folders)]
            with_sound = [one.folder.folders for one in found if one.sounds]
        if not any(one.recordings for one in found):
            raise _no_recording(root, (file for one in found for file in tree.files(one.folder)))
        names.compare(with_sound)
        places = _places(names, [one.folder.folders for one in found], with_sound)
        clips = Clips(
            tree, [one.folder for one in found], {one.folder.folders: one.table for one in found if one.table}
        )
        links = Links(clips, places)
        _check_places(found, clips, links, places)
        for item in in_order(clips, links):
            if isinstance(item, Unused):
                yield _left_out(item, places)
                continue
            place_of_clip = places[item.recording.folders]
            try:
                yield _row(item, place_of_clip)
            except RowError as error:
                yield error.at(item.recording.shown, place_of_clip.language)
        yield from map(Note, names.notes(set(with_sound)))


@dataclass(frozen=True, slots=True)
class _Surveyed:
    """What a folder holds: whether there are recordings of any kind, and of kinds that are read; a transcript table."""

    folder: FoundFolder
    sounds: bool
    recordings: bool
    table: str | None


def _surveyed(folder: FoundFolder, files: Sequence[FoundFile]) -> _Surveyed:
    kinds = {kind_of(file.name) for file in files if not file.hidden}
    tables = [file.name for file in files if may_hold_transcripts(file.name)]
    return _Surveyed(
        folder,
        sounds=bool(kinds & {FileKind.RECORDING, FileKind.UNREAD}),
        recordings=FileKind.RECORDING in kinds,
        table=printable(tables[-1]) if tables else None,
    )


def _places(names: FolderNames, folders: Sequence[Folders], with_sound: Sequence[Folders]) -> Places:
    """Return language and split of every folder."""
    split_parents = names.split_parents(with_sound)
    places = {each: names.place(each, split_parents) for each in folders}
    evaluation = "test" if any(places[each].split == "dev" for each in with_sound) else "dev"
    return {
        each: replace(place, split=evaluation) if place.split == EVALUATION else place for each, place in places.items()
    }


def _check_places(found: Sequence[_Surveyed], clips: Clips, links: Links, places: Places) -> None:
    """Raise a `SourceError` if the language or split of a clip is unclear."""
    unclear = sorted(
        (clip.recording.path.parts, clip.recording)
        for one in found
        if one.recordings and places[one.folder.folders].problem
        for clip in clips.of(one.folder)[0]
        if links.keeps(clip)
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


def _no_recording(folder: Path, files: Iterable[FoundFile]) -> SourceError:
    """Return the error for a folder without recordings, given the files that it holds."""
    shown = printable(str(folder))
    message = f"no recording below {shown}: expected clip.<{'|'.join(AUDIO_EXTENSIONS)}> with clip.txt"
    extensions: Counter[str] = Counter()
    hidden = 0
    for file in files:
        hidden += file.hidden
        if not file.hidden:
            extensions[extension_of(file.name)] += 1
    if not extensions:
        return SourceError(f"{message}, found {counted(hidden, 'hidden file')}" if hidden else message)
    most = sorted(extensions.items(), key=lambda item: (-item[1], item[0]))[:5]
    kinds = [f"{number:,} .{name}" if name else f"{number:,} others" for name, number in most]
    fix = None
    if any(kind_of(f"clip.{extension}") is FileKind.UNREAD for extension in extensions):
        fix = REASONS["unread_format"].fix
    elif "tar" in extensions:
        fix = f"index tars of recordings with: mms-dist shards index {shown}"
    elif extensions.keys() & {"tsv", "jsonl"}:
        fix = "name the manifest itself: mms-dist shards build MANIFEST SHARDS"
    return SourceError(f"{message}, found {', '.join(kinds)}", fix)
