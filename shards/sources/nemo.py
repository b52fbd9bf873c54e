"""Read the manifests of NVIDIA NeMo: a JSON object with `audio_filepath`, `duration` and `text` in every line.

Their format: https://docs.nvidia.com/nemo-framework/user-guide/latest/nemotoolkit/asr/datasets.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shards.errors import SourceError
from shards.sources import row_fields
from shards.sources.archived_audio import with_copies_noted
from shards.sources.audio_reference import AudioFile
from shards.sources.file_finder import FileFinder
from shards.sources.json_lines import json_lines
from shards.sources.nemo_tars import NemoTars
from shards.sources.part_names import PartNames
from shards.sources.rows import RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.text_lines import TextLines

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".manifest")
_HEAD_BYTES = 1 << 16
_TAGS = ("gender", "age", "accent", "domain")


class Nemo:
    """A manifest of NeMo, or a folder of manifests whose names say the splits."""

    name = "nemo"
    expected = "a NeMo manifest (JSON lines with audio_filepath and duration)"
    row_noun = "lines"
    uses = frozenset({"audio_root"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether its first line, or that of a .json or .jsonl file in it, has the fields of NeMo."""
        return bool(_manifests(place.path))

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines."""
        manifests = _manifests(place.path) or [place.path]
        is_folder = os.path.isdir(place.path)
        if is_folder and manifests == [place.path]:
            raise SourceError(f"no NeMo manifest in {place}")
        parts = {path: (path.name,) if is_folder else () for path in manifests}
        names = PartNames(place.path, parts.values())
        for path, part in parts.items():
            rows = _Manifest(path, options, names.split(part), names.language(())).rows()
            yield from with_copies_noted(rows)


def _manifests(place: Path) -> list[Path]:
    if not os.path.isdir(place):
        return [place] if _is_manifest(place) else []
    with os.scandir(place) as entries:
        names = sorted(entry.name for entry in entries if entry.name.lower().endswith(_SUFFIXES))
    return [place / name for name in names if _is_manifest(place / name)]


def _is_manifest(path: Path) -> bool:
    if not os.path.isfile(path):  # a pipe can be read only once
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except (OSError, ValueError):
        return False
    first = next((line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()), b"")
    try:
        fields = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and "audio_filepath" in fields and "duration" in fields


class _Manifest:
    """One manifest."""

    def __init__(self, path: Path, options: SourceOptions, split: str | None, language: str | None) -> None:
        self._path = path
        self._root = options.audio_root or path.parent
        self._split = split
        self._language = options.language or language
        self._finder = FileFinder()
        self._tars = NemoTars(self._root)

    def rows(self) -> Iterator[Found]:
        """Yield the utterances and the unusable lines."""
        lines = TextLines(self._path)
        for number, fields in json_lines(lines):
            where = lines.where(number)
            language = self._language
            try:
                if isinstance(fields, RowError):
                    raise fields
                language = self._language_of(fields, where)
                yield self._row(fields, language, where)
            except RowError as error:
                yield error.at(f"{self._path.name}:{number}", language, number)

    def _row(self, fields: Mapping[str, Any], language: str, where: str) -> SourceRow:
        path = fields.get("audio_filepath")
        audio = row_fields.audio_path(row_fields.string(path, "audio_filepath", where), "audio_filepath", where)
        number = fields.get("shard_id")
        text = row_fields.string(fields.get("text"), "text", where)
        start = row_fields.seconds(fields.get("offset"), "offset", where)
        duration = row_fields.seconds(fields.get("duration"), "duration", where)
        return SourceRow(
            audio=AudioFile(self._finder.find(self._root / audio))
            if number is None
            else self._tars.find(audio, number, where),
            name=Path(audio).as_posix(),
            text=text,
            language=language,
            where=where,
            split=row_fields.split(row_fields.string(fields.get("split"), "split", where), "split", where)
            or self._split,
            speaker=row_fields.string(fields.get("speaker"), "speaker", where, numbers=True) or None,
            # Without an offset, the duration is that of the whole recording.
            start_seconds=start,
            end_seconds=None if start is None or duration is None else start + duration,
            tags={name: value for name in _TAGS if (value := row_fields.tag(fields.get(name), where))} or None,
            detail="no field 'text'",
        )

    def _language_of(self, fields: Mapping[str, Any], where: str) -> str:
        spoken, written, lang = (
            row_fields.string(fields.get(name), name, where) for name in ("source_lang", "target_lang", "lang")
        )
        if spoken and written and spoken != written:
            found = f"the text is a translation, from source_lang {spoken!r} to target_lang {written!r}"
            raise RowError(where, "row_value", found, fix="leave translations out")
        code = lang or written or spoken or self._language
        if not code:
            raise RowError(where, "row_fields", "no field 'lang'", fix="give one language to all of it with --lang")
        return row_fields.language(code, "lang", where, self._language)
