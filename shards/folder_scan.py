"""List every file below a folder, following links."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shards.errors import SourceError
from shards.file_kinds import is_hidden
from shards.file_names import printable


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file as it was reached: `folders` is the path from the root; `real` is the path with links resolved."""

    path: Path
    folders: tuple[str, ...]
    real: str
    hidden: bool

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

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
                yield FoundFile(Path(entry.path), folders, place, concealed)
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
