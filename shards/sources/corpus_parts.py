"""The languages of a corpus that has a folder for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from shards.errors import ShardsError
from shards.languages import resolve_language
from shards.sources.rows import RowError
from shards.sources.source_place import SourcePlace
from shards.wording import printable

Tables = tuple[PurePosixPath, ...]


@dataclass(frozen=True, slots=True)
class CorpusPart:
    """A language of a corpus: its code, its folder and its tables."""

    language: str
    folder: PurePosixPath
    tables: Tables

    def named(self, name: str) -> PurePosixPath | None:
        """Return the table of this file name; None if there is none."""
        return next((table for table in self.tables if table.name == name), None)


def corpus_parts(
    place: SourcePlace,
    tables: Iterable[PurePosixPath],
    language: str | None,
    *,
    written: Callable[[PurePosixPath, Tables], str],
    folder_of: Callable[[PurePosixPath], PurePosixPath] = lambda table: table.parent,
) -> Iterator[CorpusPart | RowError]:
    """Yield the languages of a corpus, in the order of their folders, and an error for a folder without a clear one.

    Args:
        language: the user's; it overrules that of an only folder, and selects among several.
        written: how the corpus writes the language of a folder with these tables.
        folder_of: the folder of the language that a table belongs to.
    """
    by_folder: dict[PurePosixPath, list[PurePosixPath]] = {}
    for table in tables:
        by_folder.setdefault(folder_of(table), []).append(table)
    parts: list[CorpusPart] = []
    unclear: list[RowError] = []
    for folder, found in by_folder.items():
        try:
            only = language is not None and len(by_folder) == 1
            code = language if language is not None and only else resolve_language(written(folder, tuple(found)))
        except ShardsError as error:
            where = printable(str(place.path / folder))
            fix = "; ".join(filter(None, (error.fix, "give it with --lang")))
            unclear.append(RowError(where, "row_value", error.found, fix))
        else:
            parts.append(CorpusPart(code, folder, tuple(found)))
    selected = [part for part in parts if part.language == language]
    if selected:
        yield from selected
    else:
        yield from unclear
        yield from parts
