"""The interface that every kind of source implements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shards.sources.rows import Failure, LeftOut, Note, RowError, SourceRow
from shards.sources.source_place import SourcePlace

Found = SourceRow | RowError | LeftOut | Note | Failure


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The user's options for a source.

    `language`: the language of every row that names none. `audio_root`: the folder that relative audio paths start
    from, instead of the source's own. `skip`: a folder to leave alone, such as that of the shards. `columns`: the names
    of a table's columns, by what they hold: `{"audio": "path", "text": "sentence"}`. `split_from`: the name of the one
    table to read, such as `validated`, where a source has several that overlap. `wanted`: the only languages that will
    be built, if not all; a source need not read what is in others.
    """

    language: str | None = None
    audio_root: Path | None = None
    skip: Path | None = None
    columns: Mapping[str, str] | None = None
    split_from: str | None = None
    wanted: Sequence[str] = ()


class Source(Protocol):
    """A layout in which people have recordings and transcripts on disk.

    `name`: as in `--from NAME`. `expected`: what it reads, as the end of "expected …". `row_noun`: what one of its
    rows is called, in the plural. `uses`: which of the options "audio_root", "columns" and "split_from" it reads; the
    others are refused before `read`.
    """

    name: str
    expected: str
    row_noun: str
    uses: frozenset[str]

    def recognises(self, place: SourcePlace) -> bool:
        """Whether `place` has this layout. Looks at names and first bytes only, uses no network, and never raises."""
        ...

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield every utterance, in a fixed order, and everything else that is there.

        A row that cannot be used is yielded as `RowError`: the user decides whether it stops the build. Utterances
        without a split are assigned to one later.

        Raises:
            SourceError: the source as a whole cannot be read; names the file and line.
        """
        ...
