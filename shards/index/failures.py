"""The list of languages that could not be built or indexed, beside the shards."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from shards import remote, storage
from shards.errors import Problem
from shards.file_lock import FileLock
from shards.index.parts import write_atomically
from shards.schema import WORK_FOLDER

FAILURES_NAME = "failed.json"


def record_outcome(output: Path | str, *, failed: Mapping[str, Problem], done: Collection[str] = ()) -> None:
    """Add the languages that failed to `failed.json`, and remove those that are done. Without any, it is removed.

    Tasks of a job array may call this at the same time.

    Args:
        output: a folder, or as a string a URL.

    Raises:
        OSError: it cannot be written to the folder.
        StorageError: it cannot be written to the URL.
    """
    entries = {code: {"found": problem.found, "fix": problem.fix} for code, problem in failed.items()}
    if isinstance(output, str):
        _record_remotely(output, entries, done)
        return
    path = output / FAILURES_NAME
    if not failed and not path.exists():
        return
    with FileLock(path):  # a new file may take its place meanwhile; the lock is then taken on that one
        before = _parse(path.read_bytes())
        listed = {code: entry for code, entry in before.items() if code not in done} | entries
        if not listed:
            path.unlink()
        elif listed != before:
            write_atomically(path, _text_of(listed))


def _record_remotely(root: str, entries: Mapping[str, Any], done: Collection[str]) -> None:
    """Write a file for each language that failed, and then the list, until it has what all processes wrote.

    Nothing can be locked there, so two processes that changed one file would lose an entry.
    """
    place, folder = storage.join(root, FAILURES_NAME), storage.join(root, WORK_FOLDER, "failed")
    if not entries and not storage.exists(place):
        return
    for code, entry in entries.items():
        remote.write_bytes(storage.join(folder, f"{code}.json"), _text_of(entry))
    remote.remove(storage.join(folder, f"{code}.json") for code in done)
    written = None
    while (names := sorted(remote.list_files(folder))) != written:
        if names:
            listed = {name.removesuffix(".json"): _read(storage.join(folder, name)) for name in names}
            remote.write_bytes(place, _text_of({code: entry for code, entry in listed.items() if entry}))
        else:
            remote.remove([place])
        written = names


def _read(url: str) -> dict[str, Any]:
    try:
        return _parse(storage.read_bytes(url))
    except FileNotFoundError:  # another process has built the language since
        return {}


def _text_of(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(dict(sorted(content.items())), ensure_ascii=False, indent=1) + "\n").encode()


def _parse(text: bytes) -> dict[str, Any]:
    """Return what is listed so far; nothing if the file is new, or was damaged by hand."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
