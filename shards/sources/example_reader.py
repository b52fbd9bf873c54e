"""Turn the rows of datasets, in which recordings lie among the other columns, to utterances."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from shards.drops import Rejected
from shards.errors import SourceError
from shards.sources.audio_reference import AudioReference
from shards.sources.row_reader import NamedAudio, RowReader
from shards.sources.rows import Note, RowError
from shards.sources.source import Found


class Example(NamedTuple):
    """A row: its number in the file, from 1, and the values of its columns, without the recording.

    `recording` is None if the row has no bytes of it; `path` is the path that the row has, if any. `rejected`: why the
    row cannot be used, if that is known.
    """

    number: int
    fields: dict[str, Any]
    recording: AudioReference | None
    path: str | None
    rejected: Rejected | None = None


class ExampleFile(Protocol):
    """A file with many rows.

    `header`: the names of its columns. `audio_columns`: those that hold recordings. `labels`: the names that numbers in
    a column stand for. `shown`: the file in messages. `name`: its path within the dataset.
    """

    header: list[str]
    audio_columns: list[str]
    labels: Mapping[str, Sequence[str]]
    shown: str
    name: str

    def holds_paths(self, column: str) -> bool:
        """Whether a column has text, and not the recordings themselves."""
        ...

    def examples(self, columns: Collection[str], audio: str | None) -> Iterator[Example]:
        """Yield every row, with the values of `columns` and the recording in the column `audio`.

        Raises:
            SourceError: the file is damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Defaults:
    """What is known of all rows of a file: their language, split and tags, where a row does not say otherwise."""

    language: str | None = None
    split: str | None = None
    tags: Mapping[str, str] | None = None
    source: str | None = None


class ExampleReader:
    """Reads the files of one dataset.

    Args:
        given: the columns that the user named, by field.
    """

    def __init__(self, given: Mapping[str, str] | None) -> None:
        self._given = given or {}
        self._noted: set[str] = set()

    def read(self, file: ExampleFile, root: Path, defaults: Defaults) -> Iterator[Found]:
        """Yield the utterances of a file and its unusable rows.

        Args:
            root: the folder that paths of recordings start from, in rows that have no bytes.

        Raises:
            SourceError: a column is missing, or the file is damaged.
        """
        audio = _audio_column(file, self._given)
        reader = RowReader(root, defaults.language, {**({"audio": audio} if audio else {}), **self._given})
        columns = reader.choose(file.header, file.shown)
        if audio is None and not file.holds_paths(columns.names["audio"]):
            raise SourceError(
                f"{file.shown}: column {columns.names['audio']!r} has neither recordings, as the bytes of audio files, "
                "nor their paths",
                fix="name the column that has: --columns audio=COLUMN",
            )
        if reader.note and reader.note not in self._noted:
            self._noted.add(reader.note)
            yield Note(reader.note)
        wanted = dict.fromkeys(name for name in columns.names.values() if name != audio)
        labels = {name: file.labels[name] for name in wanted if name in file.labels}
        for number, fields, recording, path, rejected in file.examples(wanted, audio):
            where = f"{file.shown}:{number}"
            if audio is not None:
                fields[audio] = path
            try:
                if rejected is not None:
                    raise RowError(where, rejected.reason, rejected.found, rejected.fix)
                for name, names in labels.items():
                    fields[name] = _label(fields[name], name, names, where)
                if recording is None and audio is not None and not path:
                    raise RowError(where, "row_value", f"{audio!r} is empty, expected a recording")
                named = None if recording is None else NamedAudio(recording, _name(file.name, number, path))
                row = reader.row(fields, where, named)
            except RowError as error:
                yield error.at(f"{file.name}:{number}", reader.language_of(fields), number)
            else:
                yield replace(
                    row,
                    split=row.split or defaults.split,
                    tags={**(defaults.tags or {}), **(row.tags or {})} or None,
                    source=row.source or (defaults.source and f"{defaults.source}:{number}"),
                )


def _audio_column(file: ExampleFile, given: Mapping[str, str]) -> str | None:
    """Return the column with the recordings; None if the file has paths in their place.

    Raises:
        SourceError: there are several, and the user named none.
    """
    chosen = given.get("audio")
    if chosen is not None:
        return chosen if chosen in file.audio_columns else None
    if len(file.audio_columns) > 1 and "audio" not in file.audio_columns:
        found = f"{file.shown}: several columns hold recordings, {', '.join(map(repr, file.audio_columns))}"
        raise SourceError(found, fix=f"name one: --columns audio={file.audio_columns[0]}")
    return "audio" if "audio" in file.audio_columns else next(iter(file.audio_columns), None)


def _label(value: object, column: str, names: Sequence[str], where: str) -> str | None:
    """Return the name that a number stands for."""
    if value is None or value == -1:  # -1 is the unknown label
        return None
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise RowError(where, "row_value", f"{column!r} is {value!r}, expected a number below {len(names)}")
    return names[value]


def _name(file: str, number: int, path: str | None) -> str:
    """Return a name for a recording in a file. The paths of recordings need not be unique, so the number is in it."""
    base = os.path.basename(path or "")
    return f"{file}/{number:06d}{'-' if base else ''}{base}"
