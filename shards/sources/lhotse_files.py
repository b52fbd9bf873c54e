"""Find the manifests of Lhotse that belong together, by their first lines and their names."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from shards.errors import SourceError
from shards.wording import printable

RECORDINGS = "recordings"
SUPERVISIONS = "supervisions"
CUTS = "cuts"
_SUFFIXES = (".jsonl", ".jsonl.gz")
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LhotsePart:
    """A manifest of supervisions with the one of their recordings, or a manifest of cuts."""

    path: Path
    kind: str
    recordings: Path | None = None


def lhotse_parts(place: Path) -> list[LhotsePart]:
    """Return the manifests in a folder, or the one at `place` with what belongs to it; empty if there is none.

    Supervisions come first: cuts beside them are made from them.

    Raises:
        SourceError: supervisions are without their recordings, or the other way round.
    """
    folder = place if os.path.isdir(place) else place.parent
    kinds = {path: kind for path in _candidates(place) if (kind := _kind(path))}
    supervisions = [path for path, kind in kinds.items() if kind == SUPERVISIONS]
    if place in kinds and kinds[place] == RECORDINGS:
        supervisions = [_beside(place, RECORDINGS, SUPERVISIONS)]
    if supervisions:
        return [LhotsePart(path, SUPERVISIONS, _beside(path, SUPERVISIONS, RECORDINGS)) for path in supervisions]
    if folder == place and RECORDINGS in kinds.values() and CUTS not in kinds.values():
        raise SourceError(f"{printable(str(place))} has recordings of Lhotse, but no supervisions, with the texts")
    return [LhotsePart(path, CUTS) for path, kind in kinds.items() if kind == CUTS]


def has_lhotse(place: Path) -> bool:
    """Whether there is a manifest of Lhotse in a folder, or at `place`."""
    return any(map(_kind, _candidates(place)))


def _candidates(place: Path) -> list[Path]:
    if not os.path.isdir(place):
        return [place] if place.name.lower().endswith(_SUFFIXES) and os.path.isfile(place) else []
    with os.scandir(place) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.name.lower().endswith(_SUFFIXES))


def _beside(path: Path, kind: str, wanted: str) -> Path:
    """Return the manifest of another kind that has the same name otherwise, or is the only one of its kind."""
    named = path.with_name(path.name.replace(kind, wanted))
    if named != path and _kind(named) == wanted:
        return named
    found = [other for other in _candidates(path.parent) if _kind(other) == wanted]
    if len(found) != 1:
        raise SourceError(f"no file {printable(str(named))}, with the {wanted} for {printable(path.name)}")
    return found[0]


def _kind(path: Path) -> str | None:
    """Return what the first line of a file describes; None if that is nothing of Lhotse."""
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else open(path, "rb") as file:
            fields = json.loads(file.readline(_HEAD_BYTES))
    except (OSError, EOFError, ValueError, zlib.error, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if {"sources", "sampling_rate"} <= fields.keys():
        return RECORDINGS
    if {"recording_id", "start", "duration"} <= fields.keys():
        return SUPERVISIONS
    if str(fields.get("type", "")).endswith("Cut") and fields.keys() & {"recording", "tracks", "duration"}:
        return CUTS
    return None
