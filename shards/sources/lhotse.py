"""Read the manifests of Lhotse: recordings with supervisions, or cuts, as JSON lines that may be compressed.

Their format: https://lhotse.readthedocs.io/en/latest/corpus.html and https://lhotse.readthedocs.io/en/latest/cuts.html
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shards.drops import Drop
from shards.errors import SourceError
from shards.sources import row_fields
from shards.sources.audio_reference import AudioFile
from shards.sources.json_lines import json_lines
from shards.sources.keyed_lines import KeyedLines
from shards.sources.lhotse_files import CUTS, LhotsePart, has_lhotse, lhotse_parts
from shards.sources.nearby_audio import NearbyAudio
from shards.sources.part_names import PartNames
from shards.sources.rows import LeftOut, RowError, SourceRow
from shards.sources.source import Found, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.sources.text_lines import TextLines

_TAGS = ("accent", "variant", "age", "domain")
# A supervision that ends this close to the end of its recording is all of it.
_WHOLE_SECONDS = 0.02


class Lhotse:
    """Manifests of Lhotse, in one folder, whose names say the splits; or one of them."""

    name = "lhotse"
    expected = "Lhotse manifests (recordings.jsonl.gz and supervisions.jsonl.gz, or cuts.jsonl.gz)"
    row_noun = "lines"
    uses = frozenset({"audio_root"})

    def recognises(self, place: SourcePlace) -> bool:
        """Whether its first line, or that of a file in it, has the fields of supervisions or cuts."""
        return has_lhotse(place.path)

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield the utterances, in the order of the lines."""
        parts = lhotse_parts(place.path)
        if not parts:
            raise SourceError(f"no supervisions and no cuts of Lhotse in {place}")
        is_folder = os.path.isdir(place.path)
        keys = {part: (part.path.name,) if is_folder else () for part in parts}
        names = PartNames(place.path, keys.values())
        for part, key in keys.items():
            language = options.language or names.language(())
            yield from _Part(part, language, names.split(key), options.audio_root).rows()


@dataclass(frozen=True, slots=True)
class _Recording:
    """A recording; `sources` are its files, each with the channels in it. `seconds` is its length."""

    key: str
    sources: tuple[tuple[tuple[int, ...], str], ...]
    seconds: float


class _Part:
    """Supervisions with their recordings, or cuts."""

    def __init__(self, part: LhotsePart, language: str | None, split: str | None, audio_root: Path | None) -> None:
        self._part = part
        self._language = language
        self._split = split
        self._audio = NearbyAudio(part.path.parent, audio_root)
        self._recordings = KeyedLines(lambda: _recordings(part.recordings) if part.recordings else ())

    def rows(self) -> Iterator[Found]:
        """Yield the utterances and the unusable lines."""
        lines = TextLines(self._part.path, compressed=True)
        for number, fields in json_lines(lines):
            where = lines.where(number)
            example = f"{self._part.path.name}:{number}"
            try:
                if isinstance(fields, RowError):
                    raise fields
                if self._part.kind == CUTS:
                    found = self._of_cut(fields, where)
                    yield from found
                    if not found:
                        yield LeftOut(Drop("missing_text", example, "a cut without supervisions"), self._language)
                else:
                    key = _required(fields, "recording_id", where)
                    recording = self._recordings.get(key, keep=True)
                    if recording is None:
                        raise RowError(where, "row_value", f"recording {key!r} is not among the recordings")
                    yield self._row(fields, recording, 0.0, where)
            except RowError as error:
                yield error.at(example, self._language, number)

    def _of_cut(self, cut: Mapping[str, Any], where: str) -> list[SourceRow]:
        if cut.get("type") not in ("MonoCut", "MultiCut"):
            found = f"a cut of type {row_fields.shown(cut.get('type'))}, expected a MonoCut"
            raise RowError(where, "row_value", found, fix="use the cuts before they were mixed, padded or augmented")
        if not isinstance(cut.get("recording"), dict):
            raise RowError(where, "row_fields", "a cut without its recording")
        recording = _recording(cut["recording"], where)
        start = row_fields.seconds(cut.get("start"), "start", where) or 0.0
        supervisions = cut.get("supervisions") or []
        if not isinstance(supervisions, list) or not all(isinstance(one, dict) for one in supervisions):
            raise RowError(where, "row_value", "'supervisions' is not a list of objects")
        return [self._row(one, recording, start, where) for one in supervisions]

    def _row(self, supervision: Mapping[str, Any], recording: _Recording, origin: float, where: str) -> SourceRow:
        """Return the utterance of a supervision whose times count from `origin`, in seconds of its recording."""
        start = row_fields.seconds(supervision.get("start"), "start", where) or 0.0
        duration = row_fields.seconds(supervision.get("duration"), "duration", where)
        if duration is None:
            raise RowError(where, "row_fields", "a supervision without 'duration'")
        start = round(origin + start, 6)
        end = round(start + duration, 6)
        whole = start == 0 and abs(end - recording.seconds) <= _WHOLE_SECONDS
        code = row_fields.string(supervision.get("language"), "language", where) or self._language
        if code is None:
            raise RowError(where, "row_fields", "no 'language'", fix="give one language to all of it with --lang")
        custom = supervision.get("custom")
        more = custom if isinstance(custom, dict) else {}
        tags = {"gender": supervision.get("gender"), **{name: more.get(name) for name in _TAGS}}
        path, channel_of_file = _audio(recording, supervision.get("channel"), where)
        return SourceRow(
            audio=AudioFile(self._audio.find(path)),
            # The path often begins with the folders of one machine. The recording's name never changes.
            name=recording.key,
            text=row_fields.string(supervision.get("text"), "text", where),
            language=row_fields.language(code, "language", where, self._language),
            where=where,
            split=self._split,
            speaker=row_fields.string(supervision.get("speaker"), "speaker", where, numbers=True) or None,
            start_seconds=None if whole else start,
            end_seconds=None if whole else end,
            channel=channel_of_file,
            tags={name: text for name, value in tags.items() if (text := row_fields.tag(value, where))} or None,
            detail="a supervision without text",
        )


def _recordings(path: Path) -> Iterator[tuple[str, _Recording | RowError]]:
    lines = TextLines(path, compressed=True)
    for number, fields in json_lines(lines):
        if isinstance(fields, RowError):
            raise fields  # its name is unknown, so no supervision can be told that it is bad
        key = _required(fields, "id", lines.where(number))
        try:
            yield key, _recording(fields, lines.where(number))
        except RowError as error:
            yield key, error


def _recording(fields: Mapping[str, Any], where: str) -> _Recording:
    key = _required(fields, "id", where)
    if fields.get("transforms"):
        found = f"recording {key!r} has transforms, such as another speed"
        raise RowError(where, "row_value", found, fix="use the recordings before they were augmented")
    found_sources = []
    for source in fields["sources"] if isinstance(fields.get("sources"), list) else []:
        kind = source.get("type") if isinstance(source, dict) else None
        if kind != "file":
            fix = "write the recording to a file" if kind in ("command", "memory") else "download the recording"
            never = "; commands are never run" if kind == "command" else ""
            found = f"recording {key!r} has a source of type {row_fields.shown(kind)}, expected 'file'{never}"
            raise RowError(where, "row_value", found, fix=fix)
        path = row_fields.audio_path(row_fields.string(source.get("source"), "source", where), "source", where)
        found_sources.append((_channels(source.get("channels")), path))
    if not found_sources:
        raise RowError(where, "row_fields", f"recording {key!r} has no sources")
    seconds = row_fields.seconds(fields.get("duration"), "duration", where)
    return _Recording(key, tuple(found_sources), 0.0 if seconds is None else seconds)


def _channels(value: object) -> tuple[int, ...]:
    """Return the channels that are named by a number or a list of numbers."""
    numbers = value if isinstance(value, list) else [value]
    return tuple(number for number in numbers if isinstance(number, int))


def _audio(recording: _Recording, channel: object, where: str) -> tuple[str, int | None]:
    """Return the file that holds the channels of a supervision, and its channel to use, from 1; None for all."""
    wanted = set(_channels(channel))
    holding: Sequence[tuple[tuple[int, ...], str]] = [
        source for source in recording.sources if not wanted or wanted & set(source[0])
    ]
    if len(holding) == 1:
        channels, path = holding[0]
        if not wanted or set(channels) <= wanted:
            return path, None
        if len(wanted) == 1:
            return path, channels.index(wanted.pop()) + 1  # a file has its channels in this order
    found = f"the supervision is of channels {row_fields.shown(channel)} of several in recording {recording.key!r}"
    raise RowError(where, "row_value", found, fix="give it one channel, or write its channels to a file of their own")


def _required(fields: Mapping[str, Any], name: str, where: str) -> str:
    found = row_fields.string(fields.get(name), name, where)
    if not found:
        raise RowError(where, "row_fields", f"no {name!r}")
    return found
