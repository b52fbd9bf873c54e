"""The shards of one language on a remote file system, such as an S3-compatible server.

Objects are never renamed there, and there are no locks. So a build works as follows (`ROOT` is the URL of the shards):

* Every finished tar is uploaded to `ROOT/.build/<language>/shards/` and removed from this machine, and its record
  follows it. Any machine can go on from there.
* When all are there, the old `index.json` is removed first and the new one is written last. In between the server
  copies the tars into place. A reader finds the old shards, none, or the new ones.
* The last build to begin owns the language, as `owner.json` says. An earlier one sees that before it writes anything
  else, and stops.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shards import remote, storage
from shards.build.language_output import LanguageOutput, parse_json
from shards.build.output_folder import only_build
from shards.errors import ShardsError
from shards.index.parts import ShardPart
from shards.schema import INDEX_NAME, WORK_FOLDER

_STATE = "state.json"
_OWNER = "owner.json"
_PUBLISHING = "publishing.json"


class RemoteOutput(LanguageOutput):
    """Stages a language in `<root>/.build/<language>/` and copies it to `<root>/<language>/`."""

    def __init__(self, language: str, root: str) -> None:
        self._language = language
        self._root = root
        self._staging = storage.join(root, WORK_FOLDER, language)
        self._record = storage.join(root, WORK_FOLDER, f"{language}.json")
        self._staged: dict[str, int] = {}
        self._token = uuid.uuid4().hex
        self.place = storage.join(root, language)
        name = hashlib.blake2b(self.place.encode(), digest_size=16).hexdigest()
        self._here = Path(tempfile.gettempdir()) / f"mms-dist-build-{os.getuid()}" / name
        self.folder = self._here / "shards"
        self.copies = self._here

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other builds on this machine away. A build elsewhere is noticed when it begins."""
        lock = self._here.with_suffix(".lock")
        with only_build(lock, self._root, self._language):
            try:
                yield
            finally:
                shutil.rmtree(self._here, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def holds_files(self) -> bool:
        """Whether there is any object."""
        return bool(self.sizes())

    def read(self, name: str) -> bytes:
        """Fetch an object."""
        return storage.read_bytes(storage.join(self.place, name))

    def sizes(self) -> dict[str, int]:
        """Return the lengths of the objects."""
        return remote.list_files(self.place)

    def record(self) -> dict[str, Any] | None:
        """Return the state that the shards were built from."""
        return _read_json(self._record)

    def is_interrupted(self) -> bool:
        """Whether a build had begun to put its shards into place."""
        return storage.exists(self._staged_url(_PUBLISHING))

    def begin(self, state: dict[str, Any]) -> None:
        """Claim the language, and list what is staged."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if _read_json(self._staged_url(_STATE)) != state:
            if self.is_interrupted() and INDEX_NAME not in (found := self.sizes()):
                remote.remove(map(self._url, found))
            self.discard()
        owner = {"token": self._token, "host": socket.gethostname(), "process": os.getpid()}
        remote.write_bytes(self._staged_url(_OWNER), json.dumps(owner).encode())
        remote.write_bytes(self._staged_url(_STATE), json.dumps(state).encode())
        self._staged = remote.list_files(self._staging)

    def finished_part(self, name: str) -> ShardPart | None:
        """Fetch the record of a tar."""
        if f"parts/{name}.json" not in self._staged:
            return None
        part = ShardPart.parse(storage.read_bytes(self._staged_url("parts", f"{name}.json")))
        return part if self._staged.get(f"shards/{name}") == part.info.bytes else None

    def keep(self, part: ShardPart) -> None:
        """Upload a tar, then its record."""
        self._check_owner()
        tar = self.folder / part.info.name
        remote.upload(tar, self._staged_url("shards", tar.name))
        remote.write_bytes(self._staged_url("parts", f"{tar.name}.json"), part.to_json())
        tar.unlink()

    def publish(self, tars: Sequence[str], files: Mapping[str, bytes], state: dict[str, Any]) -> None:
        """Copy the tars on the server, and write the files."""
        self._check_owner()
        # Until this is removed, the next build knows that it may replace what is at `place`.
        remote.write_bytes(self._staged_url(_PUBLISHING), b"{}")
        remote.remove([self._url(INDEX_NAME)])
        remote.remove(map(self._url, self.sizes()))
        remote.each(self._copy_into_place, tars)
        for name, data in files.items():
            remote.write_bytes(self._url(name), data)
        remote.write_bytes(self._record, json.dumps(state).encode())
        self.discard()

    def discard(self) -> None:
        """Remove what is staged; its state first, so that nothing goes on from half of it."""
        remote.remove([self._staged_url(_STATE)])
        names = [name for name in remote.list_files(self._staging) if name != _OWNER]
        remote.remove(map(self._staged_url, names))
        remote.remove([self._staged_url(_OWNER)])

    def _copy_into_place(self, name: str) -> None:
        remote.copy(self._staged_url("shards", name), self._url(name))

    def _url(self, name: str) -> str:
        return storage.join(self.place, name)

    def _staged_url(self, *names: str) -> str:
        return storage.join(self._staging, *names)

    def _check_owner(self) -> None:
        owner = _read_json(self._staged_url(_OWNER)) or {}
        if owner.get("token") != self._token:
            where = f" (host {owner['host']}, process {owner['process']})" if owner else ""
            raise ShardsError(
                f"another build{where} has begun to write {self._language} to {self._root}",
                fix="wait until it ends, and run the same command again",
            )


def _read_json(url: str) -> dict[str, Any] | None:
    try:
        return parse_json(storage.read_bytes(url))
    except FileNotFoundError:
        return None
