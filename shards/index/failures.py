"""The list of languages that could not be built or indexed, beside the shards."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from shards.errors import Problem
from shards.file_lock import FileLock
from shards.index.parts import write_atomically

FAILURES_NAME = "failed.json"


def record_outcome(output: Path, *, failed: Mapping[str, Problem], done: Collection[str] = ()) -> None:
    """Add the languages that failed to `failed.json`, and remove those that are done. Without any, it is removed.

    Tasks of a job array may call this at the same time.

    Raises:
        OSError: it cannot be written.
    """
    path = output / FAILURES_NAME
    if not failed and not path.exists():
        return
    with FileLock(path):  # a new file may take its place meanwhile; the lock is then taken on that one
        before = _listed(path)
        listed = {code: entry for code, entry in before.items() if code not in done}
        listed |= {code: {"found": problem.found, "fix": problem.fix} for code, problem in failed.items()}
        if not listed:
            path.unlink()
        elif listed != before:
            text = json.dumps(dict(sorted(listed.items())), ensure_ascii=False, indent=1) + "\n"
            write_atomically(path, text.encode())


def _listed(path: Path) -> dict[str, Any]:
    """Return what is listed so far; nothing if the file is new, or was damaged by hand."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
