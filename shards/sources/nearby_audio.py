"""Find the recordings of a manifest whose relative paths start from an unknown folder."""

from __future__ import annotations

import os
from pathlib import Path

from shards.sources.file_finder import FileFinder

_LEVELS = 4


class NearbyAudio:
    """Finds recordings by their paths in manifests of toolkits, which start where the toolkit was run.

    The folder of the manifest comes first, then those above it; all later paths start from the folder that the first
    recording was found from.

    Args:
        folder: the manifest's folder.
        root: the folder that paths start from, if the user named it.
    """

    def __init__(self, folder: Path, root: Path | None) -> None:
        self._folder = folder.absolute()
        self._root = root
        self._finder = FileFinder()

    def find(self, written: str) -> Path:
        """Return the recording's path, whether it exists or not."""
        path = Path(written)
        if path.is_absolute():
            return self._finder.find(path)
        if self._root is None:
            bases = [self._folder, *self._folder.parents[: _LEVELS - 1]]
            found = next((base for base in bases if os.path.exists(self._finder.find(base / path))), None)
            if found is None:
                return self._finder.find(self._folder / path)
            self._root = found
        return self._finder.find(self._root / path)
