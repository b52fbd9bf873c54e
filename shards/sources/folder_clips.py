"""The clips of a tree of folders, folder by folder, and which of several links to one recording is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from shards.sources.folder_names import Folders, Place
from shards.sources.folder_pairs import Clip, Unused, pair
from shards.sources.folder_tree import FolderTree, FoundFolder, by_parent

Places = dict[Folders, Place]
# If several links lead to one recording, the one in the first of these splits is used.
_PRECEDENCE = ("test", "dev", "train", None)


class Clips:
    """The clips and unused files of each folder, which are listed when they are needed.

    Args:
        folders: the folders to read, after `FolderTree.scan`.
        tables: the folders with a table that may hold transcripts, and its name.
    """

    def __init__(self, tree: FolderTree, folders: Sequence[FoundFolder], tables: Mapping[Folders, str]) -> None:
        self.tree = tree
        self.folders = folders
        self._tables = tables

    def of(self, folder: FoundFolder) -> tuple[list[Clip], list[Unused]]:
        """Return the clips of a folder, and its files that belong to none."""
        files = self.tree.files(folder)
        above = (folder.folders[:depth] for depth in range(len(folder.folders), -1, -1))
        clips, unused = pair(
            [file for file in files if not file.hidden],
            next((self._tables[path] for path in above if path in self._tables), None),
        )
        for file in files:
            if file.hidden:
                macos = "macOS metadata, not a recording" if file.name.startswith("._") else ""
                unused.append(Unused(file, "hidden_file", macos))
        return clips, unused


class Links:
    """Which clips are used where links lead to one recording more than once, and what is shown only once.

    Attributes:
        duplicates: the recordings that are not used, each with the reason.
    """

    def __init__(self, clips: Clips, places: Places) -> None:
        self._twice = clips.tree.reached_twice(clips.folders)
        self._in_clips: set[str] = set()
        self._kept: set[tuple[Folders, str]] = set()
        self._shown: set[str] = set()
        self.duplicates: list[Unused] = []
        if not self._twice:
            return
        several: list[Clip] = []
        for folder in clips.folders:
            for clip in clips.of(folder)[0]:
                files = [file for file in (clip.recording, clip.transcript) if file]
                self._in_clips.update(file.real for file in files if hash(file.real) in self._twice)
                if hash(clip.recording.real) in self._twice:
                    several.append(clip)
        kept, self.duplicates = _one_per_recording(several, places)
        self._kept = {(clip.recording.folders, clip.recording.name) for clip in kept}

    def keeps(self, clip: Clip) -> bool:
        """Whether a clip is used."""
        recording = clip.recording
        return hash(recording.real) not in self._twice or (recording.folders, recording.name) in self._kept

    def shows(self, item: Unused) -> bool:
        """Whether a file that is not used is still to be counted; true once for each file."""
        real = item.file.real
        if hash(real) not in self._twice:
            return True
        is_new = real not in self._in_clips and real not in self._shown
        self._shown.add(real)
        return is_new


def in_order(clips: Clips, links: Links) -> Iterator[Clip | Unused]:
    """Yield the clips that are used and the files that are not, sorted by path."""
    below = by_parent(clips.folders)
    roots = [folder for folder in clips.folders if not folder.folders]
    known = {folder.folders for folder in clips.folders}
    # With one language given, only its folders are read, which are anywhere in the tree.
    roots += [folder for folder in clips.folders if folder.folders and folder.folders[:-1] not in known]

    def of(folder: FoundFolder) -> Iterator[Clip | Unused]:
        clips_here, unused = clips.of(folder)
        items: list[tuple[str, Clip | Unused | FoundFolder]] = [
            *((clip.recording.name, clip) for clip in clips_here if links.keeps(clip)),
            *((item.file.name, item) for item in unused),
            *((one.folders[-1], one) for one in below.get(folder.folders, ())),
        ]
        del clips_here, unused
        for _, item in sorted(items, key=lambda named: named[0]):
            if isinstance(item, FoundFolder):
                yield from of(item)
            elif isinstance(item, Clip) or links.shows(item):
                yield item

    for root in sorted(roots, key=lambda folder: folder.folders):
        yield from of(root)
    yield from links.duplicates


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
