"""Find the files that a source names, whatever Unicode form their names use."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from shards.errors import SourceError


class FileFinder:
    """Finds the files a manifest names, in either Unicode form: macOS stores `é` as two characters, others as one."""

    def __init__(self) -> None:
        self._listings: dict[str, dict[str, list[str]]] = {}
        self._folders: dict[Path, Path] = {}

    def find(self, path: Path) -> Path:
        """Return the existing file with this name in either form; `path` itself if there is none.

        Raises:
            SourceError: two files have names that look the same.
        """
        if str(path).isascii():
            return path
        if path.parent not in self._folders:
            parent = path.parent
            self._folders[parent] = parent if parent == path else self.find(parent)
        folder = self._folders[path.parent]
        if path.name.isascii():
            return folder / path.name
        forms = self._listing(folder).get(unicodedata.normalize("NFC", path.name), [])
        if len(forms) > 1:
            raise SourceError(
                f"{folder} contains {len(forms)} files whose names look alike, {path.name!r}, once with composed and "
                "once with decomposed characters (NFC and NFD)",
                fix="remove or rename one of them",
            )
        return folder / (forms[0] if forms else path.name)

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        key = str(folder)
        if key not in self._listings:
            names: dict[str, list[str]] = {}
            try:
                for name in os.listdir(folder):
                    if not name.isascii():
                        names.setdefault(unicodedata.normalize("NFC", name), []).append(name)
            except OSError:  # it is missing, or can be entered but not listed
                names = {}
            self._listings[key] = names
        return self._listings[key]
