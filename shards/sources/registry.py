"""All kinds of sources, and how one is chosen and read."""

from __future__ import annotations

import os
import re
from pathlib import Path

from shards.errors import SourceError
from shards.sources.folder import Folder
from shards.sources.manifest import Manifest
from shards.sources.rows import LeftOut, Note, RowError, SourceRow, SourceRows
from shards.sources.source import Source, SourceOptions
from shards.wording import nearest, printable

# The first one that recognises a source reads it, so those that look more closely come first.
SOURCES: list[Source] = [
    Manifest(),
    Folder(),
]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# How to convert files that are not a source into one.
_FIXES = {
    ".csv": "save the table with tabs between its columns",
    ".xlsx": "save the table as text with tabs between its columns",
    ".json": "if each line is an object, rename it to .jsonl; for an array: jq -c '.[]' FILE > manifest.jsonl",
    ".gz": "decompress it with gunzip",
    ".tar": "index tars with 'mms-dist shards index'",
}


def read_source(
    place: Path,
    *,
    kind: str | None = None,
    language: str | None = None,
    audio_root: Path | None = None,
    skip: Path | None = None,
    skip_bad_rows: bool = False,
) -> SourceRows:
    """Read a source.

    Args:
        kind: the name of the kind of source; None to recognise it.
        language, audio_root, skip: as in `SourceOptions`.
        skip_bad_rows: count unusable rows instead of stopping at the first.

    Raises:
        SourceError: the kind is unknown, or the source cannot be read.
    """
    source = recognised(place) if kind is None else source_named(kind)
    options = SourceOptions(language, audio_root, skip)
    rows: list[SourceRow] = []
    left_out: list[LeftOut] = []
    notes: list[str] = []
    for found in source.read(place, options):
        match found:
            case SourceRow():
                rows.append(found)
            case RowError():
                if not skip_bad_rows:
                    raise _stopped(found, source) from found
                left_out.append(found.left_out)
            case LeftOut():
                left_out.append(found)
            case Note():
                notes.append(found.text)
    return SourceRows(source.name, rows, left_out, notes)


def source_named(kind: str) -> Source:
    """Return the kind of source with this name.

    Raises:
        SourceError: no kind has this name; the fix lists all names.
    """
    by_name = {source.name: source for source in SOURCES}
    if kind not in by_name:
        raise SourceError(
            f"--from {kind}: no such kind of source{nearest(kind, by_name)}",
            fix=f"use one of {', '.join(sorted(by_name))}",
        )
    return by_name[kind]


def recognised(place: Path) -> Source:
    """Return the kind of a source.

    Raises:
        SourceError: no kind of source recognises it.
    """
    is_url = _URL.match(str(place)) and not os.path.exists(place)
    found = None if is_url else next((source for source in SOURCES if source.recognises(place)), None)
    if found is not None:
        return found
    expected = f"expected {', or '.join(source.expected for source in SOURCES)}"
    if is_url:
        url = str(place).replace(":/", "://", 1)
        raise SourceError(f"{url} is a URL, {expected}, on this machine", fix="download it first")
    shown = printable(str(place))
    if not os.path.exists(place):
        raise SourceError(f"no file or folder {shown}, {expected}")
    raise SourceError(f"source {shown}: {expected}", fix=_FIXES.get(place.suffix.lower()))


def _stopped(error: RowError, source: Source) -> SourceError:
    """Return the error for an unusable row that is not skipped."""
    skip = f"leave such {source.row_noun} out with --skip-bad-rows"
    fix = skip if error.fix is None else f"{error.fix}, or {skip}"
    return SourceError(printable(error.found), fix=printable(fix))
