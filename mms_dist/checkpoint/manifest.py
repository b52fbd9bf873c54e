"""MANIFEST.json lists the files of a checkpoint folder. It is written last, so a folder with a manifest is complete.

It has one exact encoding (`CheckpointManifest.encode`) and contains the SHA-256 of its other lines, so that any changed
byte is detected, in the manifest or in the files it lists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mms_dist.checkpoint.snapshot import DamagedCheckpoint
from mms_dist.files import read_file, write_synced
from mms_dist.run_directory.paths import MANIFEST_NAME

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FileEntry:
    """The length in bytes and the SHA-256 of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class CheckpointManifest:
    """The language, step and files of one checkpoint folder."""

    language: str
    step: int
    files: dict[str, FileEntry]

    @classmethod
    def of(cls, language: str, step: int, contents: Mapping[str, bytes]) -> CheckpointManifest:
        """Make the manifest of files in memory."""
        files = {name: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()}
        return cls(language, step, dict(sorted(files.items())))

    def encode(self) -> bytes:
        """Encode as the file's bytes."""
        body: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "language": self.language,
            "step": self.step,
            "files": {name: {"bytes": e.bytes, "sha256": e.sha256} for name, e in self.files.items()},
        }
        body["digest"] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        return json.dumps(body, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, path: Path, content: bytes) -> CheckpointManifest:
        """Decode the file's bytes.

        Raises:
            DamagedCheckpoint: they are not exactly what `encode` writes.
        """
        try:
            body = json.loads(content)
            if body["schema"] != SCHEMA_VERSION:
                raise DamagedCheckpoint(path, f"found schema {body['schema']!r}, expected {SCHEMA_VERSION}")
            files = {name: FileEntry(e["bytes"], e["sha256"]) for name, e in body["files"].items()}
            manifest = cls(body["language"], body["step"], files)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise DamagedCheckpoint(path, "is not a readable manifest") from problem
        if content != manifest.encode():
            raise DamagedCheckpoint(path, "does not have the digest it was written with")
        return manifest


def write_folder(folder: Path, language: str, step: int, contents: Mapping[str, bytes]) -> None:
    """Write and sync the files, then the manifest."""
    manifest = CheckpointManifest.of(language, step, contents)
    for name, content in contents.items():
        write_synced(folder / name, content)
    write_synced(folder / MANIFEST_NAME, manifest.encode())


def read_folder(folder: Path) -> tuple[CheckpointManifest, dict[str, bytes]]:
    """Read a folder's manifest and files, and verify the files.

    Hidden files are ignored, because NFS and desktop systems create them.

    Raises:
        DamagedCheckpoint: names the first file that is missing, not in the manifest, too short, too long or changed.
    """
    manifest = CheckpointManifest.decode(folder / MANIFEST_NAME, _read(folder / MANIFEST_NAME))
    try:
        present = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    except OSError as problem:
        raise DamagedCheckpoint(folder, f"cannot be listed: {problem.strerror}") from problem
    for extra in sorted(present - manifest.files.keys() - {MANIFEST_NAME}):
        raise DamagedCheckpoint(folder / extra, "is not listed in the manifest")
    contents: dict[str, bytes] = {}
    for name in manifest.files.keys() - present:
        raise DamagedCheckpoint(folder / name, "is missing")
    for name, entry in manifest.files.items():
        content = _read(folder / name)
        if len(content) != entry.bytes:
            raise DamagedCheckpoint(folder / name, f"found {len(content):,} bytes, expected {entry.bytes:,}")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise DamagedCheckpoint(folder / name, "does not have the SHA-256 in the manifest")
        contents[name] = content
    return manifest, contents


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except FileNotFoundError as problem:
        raise DamagedCheckpoint(path, "is missing") from problem
    except OSError as problem:
        raise DamagedCheckpoint(path, f"cannot be read: {problem.strerror}") from problem
