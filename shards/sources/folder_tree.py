"""The folders below a root, with links followed. The files of one folder at a time are in memory."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shards.errors import SourceError
from shards.sources.folder_files import FoundFile, is_hidden
from shards.sources.folder_names import Folders
from shards.wording import printable


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A folder as it was reached: its `path`, the same from the root (`folders`), and with links resolved (`real`).

    `linked`: whether it was reached through a link. `hidden`: whether it, or a folder above it, is hidden.
    """

    path: str
    folders: Folders
    real: str
    linked: bool
    hidden: bool


class FolderTree:
    """All folders below `root`. A link to a file or folder counts as that file or folder.

    Args:
        place_of: what a folder's path from the root means. A folder that links reach several times is visited once for
            each meaning, so that circular links end.
        ignore: a folder to skip, such as the output.
    """

    def __init__(self, root: Path, *, place_of: Callable[[Folders], Hashable], ignore: Path | None = None) -> None:
        self._root = root
        self._place_of = place_of
        self._ignored = os.path.realpath(ignore) if ignore else None
        self._reached_by_links: set[int] = set()

    def scan(self) -> Iterator[tuple[FoundFolder, list[FoundFile]]]:
        """Yield every folder with its files, in any order.

        Raises:
            SourceError: a folder cannot be read.
        """
        waiting = [FoundFolder(str(self._root), (), os.path.realpath(self._root), linked=False, hidden=False)]
        linked: list[FoundFolder] = []
        visited: set[Hashable] = set()
        while waiting or linked:
            # Links are followed last, so that a file is first found at its real path.
            folder = (waiting or linked).pop()
            visit = (folder.real, folder.hidden, self._place_of(folder.folders))
            if visit in visited or (folder.real == self._ignored and folder.folders):
                continue
            visited.add(visit)
            files, below = _content(folder)
            for one in below:
                is_link = one.real != os.path.join(folder.real, one.folders[-1])
                if not is_link:
                    waiting.append(one)
                elif not f"{folder.real}{os.sep}".startswith(f"{one.real}{os.sep}"):  # not a link to a folder above it
                    linked.append(one)
            self._reached_by_links.update(hash(file.real) for file in files if folder.linked or file.target is not None)
            yield folder, files

    def files(self, folder: FoundFolder) -> list[FoundFile]:
        """List the files of a folder again. Raises as `scan`."""
        return _content(folder)[0]

    def reached_twice(self, folders: Collection[FoundFolder]) -> set[int]:
        """Return the hashes of the real paths of all files that are reached more than once; after `scan`.

        Very rarely, the hash of another file is among them, too.
        """
        if not self._reached_by_links:
            return set()
        reached: Counter[int] = Counter()
        for folder in folders:
            hashes = (hash(file.real) for file in self.files(folder))
            reached.update(each for each in hashes if each in self._reached_by_links)
        return {each for each, times in reached.items() if times > 1}


class _Entry(NamedTuple):
    name: str
    is_folder: bool
    target: str | None


def _content(folder: FoundFolder) -> tuple[list[FoundFile], list[FoundFolder]]:
    """Return the files of a folder, and the folders in it."""
    files: list[FoundFile] = []
    below: list[FoundFolder] = []
    for name, is_folder, target in _entries(folder):
        hidden = folder.hidden or is_hidden(name)
        if is_folder:
            real = os.path.join(folder.real, name) if target is None else target
            linked = folder.linked or target is not None
            below.append(
                FoundFolder(
                    os.path.join(folder.path, name), (*folder.folders, name), real, linked=linked, hidden=hidden
                )
            )
        else:
            files.append(FoundFile(name, folder.path, folder.folders, folder.real, target, hidden))
    return files, below


def _entries(folder: FoundFolder) -> list[_Entry]:
    """Return what is in a folder, the last name first."""
    try:
        with os.scandir(folder.path) as entries:
            found = [_entry(entry) for entry in entries]
    except OSError as error:
        if folder.hidden:  # for example lost+found, which only root can read
            return []
        raise SourceError(
            f"folder {printable(folder.path)} cannot be read: {error.strerror or error}",
            fix="change its permissions, or move it out of the source",
        ) from error
    return sorted(found, reverse=True)


def _entry(entry: os.DirEntry[str]) -> _Entry:
    if entry.is_symlink():
        return _Entry(entry.name, os.path.isdir(entry.path), os.path.realpath(entry.path))
    return _Entry(entry.name, entry.is_dir(follow_symlinks=False), None)


def by_parent(folders: Collection[FoundFolder]) -> dict[Folders, list[FoundFolder]]:
    """Return the folders by the path of the folder that they are in; the root is in none."""
    found: defaultdict[Folders, list[FoundFolder]] = defaultdict(list)
    for folder in folders:
        if folder.folders:
            found[folder.folders[:-1]].append(folder)
    return found
