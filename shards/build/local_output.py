"""The shards of one language in a folder of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shards.build.language_output import LanguageOutput, parse_json
from shards.build.output_folder import only_build
from shards.errors import SourceError
from shards.index.parts import ShardPart, write_atomically, write_together
from shards.schema import WORK_FOLDER


class LocalOutput(LanguageOutput):
    """Stages a language in `<root>/.build/<language>/` and moves it to `<root>/<language>/`."""

    def __init__(self, language: str, root: Path) -> None:
        self._language = language
        self._root = root
        self._target = root / language
        self._staging = root / WORK_FOLDER / language
        self._parts = self._staging / "parts"
        self._lock = root / WORK_FOLDER / f"{language}.lock"
        # Stored outside the shards: file times differ between machines, and the shards must not.
        self._record = root / WORK_FOLDER / f"{language}.json"
        self.place = str(self._target)
        self.folder = self._staging / "shards"
        self.copies = self._staging

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock of the language."""
        with only_build(self._lock, str(self._root), self._language):
            try:
                yield
            except SourceError:
                # Removed while locked: a process that has opened it meanwhile sees that it is gone and creates a
                # new one.
                self._lock.unlink(missing_ok=True)
                raise

    def holds_files(self) -> bool:
        """Whether there is anything in the folder."""
        return self._target.exists() and any(self._target.iterdir())

    def read(self, name: str) -> bytes:
        """Read a file in the folder."""
        return (self._target / name).read_bytes()

    def sizes(self) -> dict[str, int]:
        """Return the lengths of the files in the folder."""
        return {path.name: path.stat().st_size for path in self._target.iterdir() if path.is_file()}

    def record(self) -> dict[str, Any] | None:
        """Return the state that the shards were built from."""
        return _read_json(self._record)

    def is_interrupted(self) -> bool:
        """Return false: a folder is put into place at once."""
        return False

    def begin(self, state: dict[str, Any]) -> None:
        """Make the staging folder."""
        if _read_json(self._staging / "state.json") != state:
            shutil.rmtree(self._staging, ignore_errors=True)
        for folder in (self.folder, self._parts):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._staging / "state.json", json.dumps(state).encode())

    def finished_part(self, name: str) -> ShardPart | None:
        """Return the record of a tar in the staging folder."""
        path = self._parts / f"{name}.json"
        if not path.is_file():
            return None
        part = ShardPart.parse(path.read_bytes())
        tar = self.folder / name
        return part if tar.is_file() and tar.stat().st_size == part.info.bytes else None

    def keep(self, part: ShardPart) -> None:
        """Record a tar, which is in the staging folder already."""
        write_atomically(self._parts / f"{part.info.name}.json", part.to_json())

    def publish(self, tars: Sequence[str], files: Mapping[str, bytes], state: dict[str, Any]) -> None:
        """Rename the staging folder."""
        write_together({self.folder / name: data for name, data in files.items()})
        old = self._staging / "old"
        shutil.rmtree(old, ignore_errors=True)
        if self._target.exists():
            os.rename(self._target, old)
        try:
            os.rename(self.folder, self._target)
        except OSError:
            if old.exists():
                os.rename(old, self._target)
            raise
        write_atomically(self._record, json.dumps(state).encode())
        self.discard()

    def discard(self) -> None:
        """Remove the staging folder."""
        shutil.rmtree(self._staging)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
