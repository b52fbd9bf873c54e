"""Read several sources as one corpus: a YAML list that names them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from shards.errors import Problem, ShardsError, SourceError
from shards.languages import resolve_language
from shards.sources import row_fields
from shards.sources.manifest_columns import FIELDS
from shards.sources.rows import Failure, LeftOut, Note, RowError, SourceRow
from shards.sources.source import Found, Source, SourceOptions
from shards.sources.source_place import SourcePlace
from shards.strict_yaml import Path as YamlPath
from shards.strict_yaml import StrictYamlError, line_of, load_strict
from shards.wording import nearest, printable

_KEYS = ("source", "name", "from", "lang", "audio_root", "columns", "split_from", "channel")


class Choose(Protocol):
    """Return the source that reads `place`: of the kind with this name, or of the one that recognises it.

    Raises:
        SourceError: there is none, or it does not use one of the options.
    """

    def __call__(self, place: SourcePlace, kind: str | None, options: SourceOptions) -> Source: ...


@dataclass(frozen=True, slots=True)
class ListedSource:
    """One entry of the list; `where` is its place, for errors. `channel` is that of its rows that name none."""

    name: str
    place: SourcePlace
    kind: str | None
    options: SourceOptions
    where: str
    has_language: bool
    channel: int | None


class SourceList:
    """A YAML file with a list of sources, whose utterances become one corpus.

    Args:
        choose: finds the source of an entry.
    """

    name = "list"
    expected = "a YAML list of sources"
    row_noun = "rows"
    uses: frozenset[str] = frozenset()

    def __init__(self, choose: Choose) -> None:
        self._choose = choose

    def recognises(self, place: SourcePlace) -> bool:
        """Whether it is a file whose name ends in .yaml or .yml."""
        return place.path.suffix.lower() in (".yaml", ".yml") and os.path.isfile(place.path)

    def read(self, place: SourcePlace, options: SourceOptions) -> Iterator[Found]:
        """Yield what every entry yields, in the order of the list. Names of recordings begin with the entry's name."""
        entries = _Entries(place.path, options).read()
        sources = [self._source(entry) for entry in entries]  # all errors of this kind come before anything is read
        for entry, source in zip(entries, sources, strict=True):
            yield from _read(entry, source)

    def _source(self, entry: ListedSource) -> Source:
        try:
            source = self._choose(entry.place, entry.kind, entry.options)
        except SourceError as error:
            raise SourceError(f"{entry.where}: {error.found}", error.fix) from error
        if isinstance(source, SourceList):
            raise SourceError(f"{entry.where}: {entry.place} is a list too", "write its sources in this one")
        return source


def _read(entry: ListedSource, source: Source) -> Iterator[Found]:
    own_language = entry.options.language if entry.has_language else None
    yield Note(f"{entry.name}: {entry.place} is read as {source.name}", own_language)
    try:
        for found in source.read(entry.place, entry.options):
            yield _of_part(found, entry)
    except SourceError as error:
        problem = Problem(f"{entry.where}: {error.found}", error.fix)
        if not entry.has_language:
            raise SourceError(problem.found, problem.fix) from error
        assert entry.options.language is not None
        yield Failure(resolve_language(entry.options.language), problem)


def _of_part(found: Found, entry: ListedSource) -> Found:
    """Return what an entry yields, with the entry's name and channel."""
    name = entry.name
    match found:
        case SourceRow():
            # The folders of an absolute path describe the machine, not the recording.
            shown = Path(found.name).name if os.path.isabs(found.name) else found.name
            return replace(
                found,
                part=name,
                channel=found.channel or entry.channel,
                name=f"{name}/{found.name}",
                source=f"{name}/{found.source or shown}",
            )
        case RowError():
            found.left_out = replace(found.left_out, line=None)  # lines of several files are not listed together
            return found
        case LeftOut():
            return replace(found, line=None)
        case Note():
            return Note(f"{name}: {found.text}", found.language)
    return found


class _Entries:
    """The list's entries, validated."""

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self._path = path
        self._options = options
        self._lines: dict[YamlPath, int] = {}

    def read(self) -> list[ListedSource]:
        """Return the entries.

        Raises:
            SourceError: the file is not a list of sources; names the line.
        """
        shown = printable(str(self._path))
        try:
            content, self._lines = load_strict(self._path.read_bytes().decode("utf-8-sig"))
        except OSError as error:
            raise SourceError(f"{shown} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"{shown} is not UTF-8: {error.reason}", "convert it with iconv") from error
        except StrictYamlError as error:
            raise SourceError(f"{shown}:{error.line or 1} is not YAML: {error.problem}") from error
        if not isinstance(content, list) or not content:
            raise SourceError(f"{shown} is not a list of sources", "write '- source: PATH' for each of them")
        entries = [self._entry(number, entry) for number, entry in enumerate(content)]
        first: dict[str, ListedSource] = {}
        for entry in entries:
            if entry.name in first:
                found = f"{entry.where}: two sources are called {entry.name!r}"
                raise SourceError(found, "give each a name of its own, as in 'name: read-2024'")
            first[entry.name] = entry
        return entries

    def _entry(self, number: int, entry: Any) -> ListedSource:
        where = self._where(number)
        if isinstance(entry, str):
            entry = {"source": entry}
        if not isinstance(entry, dict):
            raise SourceError(f"{where}: found {entry!r}, expected a source", "write '- source: PATH'")
        for key in entry:
            if key not in _KEYS:
                found = f"{self._where(number, key)}: unknown key {key!r}{nearest(key, _KEYS)}"
                raise SourceError(found, f"use {', '.join(_KEYS)}")
        written = self._text(number, entry, "source")
        if not written:
            raise SourceError(f"{where}: the entry has no 'source'", "write 'source: PATH'")
        name = self._text(number, entry, "name") or Path(written.rstrip("/")).stem
        if not name or "/" in name or not name.isprintable():
            found = f"{self._where(number, 'name')}: the name {name!r} cannot be used"
            raise SourceError(found, "give the source a name without '/', as in 'name: read-2024'")
        language = self._language(number, entry)
        root = self._text(number, entry, "audio_root")
        options = SourceOptions(
            language=language or self._options.language,
            audio_root=None if root is None else self._path.parent / root,
            skip=self._options.skip,
            columns=self._columns(number, entry),
            split_from=self._text(number, entry, "split_from"),
            wanted=self._options.wanted,
        )
        kind = self._text(number, entry, "from")
        channel = row_fields.channel(entry.get("channel"), "channel", self._where(number, "channel"))
        return ListedSource(name, self._place(written), kind, options, where, language is not None, channel)

    def _where(self, number: int, key: str | None = None) -> str:
        path = (number,) if key is None else (number, key)
        return f"{printable(str(self._path))}:{line_of(self._lines, path)}"

    def _text(self, number: int, entry: Mapping[str, Any], key: str) -> str | None:
        value = entry.get(key)
        if value is None or isinstance(value, str):
            return value or None
        raise SourceError(f"{self._where(number, key)}: {key} is {value!r}, expected text", "write it in quotes")

    def _language(self, number: int, entry: Mapping[str, Any]) -> str | None:
        if entry.get("lang") is None:
            return None
        try:
            return resolve_language(entry["lang"])
        except ShardsError as error:
            raise SourceError(f"{self._where(number, 'lang')}: {error.found}", error.fix) from error

    def _columns(self, number: int, entry: Mapping[str, Any]) -> Mapping[str, str] | None:
        columns = entry.get("columns")
        if columns is None:
            return None
        where = self._where(number, "columns")
        if not isinstance(columns, dict):
            raise SourceError(
                f"{where}: found {columns!r}, expected names of columns", "write {audio: path, text: said}"
            )
        for key, value in columns.items():
            if key not in FIELDS:
                raise SourceError(f"{where}: unknown field {key!r}{nearest(key, FIELDS)}", f"use {', '.join(FIELDS)}")
            if not isinstance(value, str):
                raise SourceError(f"{where}: the column of {key} is {value!r}, expected text", "write it in quotes")
        return columns

    def _place(self, written: str) -> SourcePlace:
        """Return the place of a source: relative to the list's folder, unless it is a URL or a dataset on the Hub."""
        relative = SourcePlace(os.path.join(self._path.parent, written))
        alone = SourcePlace(written)
        if relative.exists or not (alone.is_url or alone.hub_name):
            return relative
        return alone
