"""What the names of a corpus's parts, which are folders or files, say about their languages and splits."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from shards.errors import ShardsError, SourceError
from shards.languages import resolve_language
from shards.sources.folder_names import EVALUATION, FolderNames, Folders, splits_named
from shards.splits import SPLITS
from shards.wording import printable


class PartNames:
    """The languages and splits of all parts of one corpus.

    Args:
        root: the corpus, which may be one file.
        parts: the names that lead from the root to each part; empty for the root itself.

    Raises:
        SourceError: a name says several splits, or is the only one that says none.
    """

    def __init__(self, root: Path, parts: Collection[Folders]) -> None:
        self._folders = FolderNames(root if os.path.isdir(root) else root.parent, None)
        self._folders.compare(parts)
        self._splits: dict[Folders, str | None] = {}
        for part in parts:
            found = {split for name in part for split in splits_named(name)}
            if len(found) > 1:
                raise SourceError(f"{_shown(part)} names several splits ({' and '.join(sorted(found))})")
            self._splits[part] = found.pop() if found else None
        if EVALUATION in self._splits.values():
            meant = "test" if "dev" in self._splits.values() else "dev"
            self._splits = {part: meant if split == EVALUATION else split for part, split in self._splits.items()}
        unknown = next((part for part, split in self._splits.items() if split is None), None)
        if unknown and any(self._splits.values()):
            raise SourceError(
                f"{_shown(unknown)} is beside parts named as splits, but is not a known split",
                fix=f"rename it to {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, or move it away",
            )

    def split(self, part: Folders) -> str | None:
        """Return the split of a part; None if no part has one."""
        return self._splits[part]

    def language(self, folders: Folders) -> str | None:
        """Return the language that the folders of a part, or those above it, are named after; None if there is none."""
        return _language(self._folders, folders)


def language_of_folders(folders: Folders) -> str | None:
    """Return the language that one of the folders is named after; None if there is none."""
    return _language(FolderNames(Path("/"), None), folders)


def _language(names: FolderNames, folders: Folders) -> str | None:
    found = names.place(folders).language
    try:
        return resolve_language(found) if found else None
    except ShardsError:
        return None


def _shown(part: Folders) -> str:
    return printable("/".join(part))
