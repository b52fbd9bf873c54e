"""Everything that was read from a source, by language, without holding it in memory."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from shards.drops import NO_UTTERANCES, Drops
from shards.errors import Problem
from shards.sources.rows import Failure, LeftOut, Note, SourceRow
from shards.spool import Spool

# A folder that holds only such files, for example `doc` with readme.txt, is not a language.
_OF_NO_LANGUAGE = (*NO_UTTERANCES, "missing_audio")


class SourceRows:
    """The utterances of a source, and what was left out.

    Iterating yields the utterances language by language, those of one language in the order of the source. Rows are in
    a `Spool`, so memory does not grow with their number.

    Args:
        kind: the name of the kind of source.
        rows: utterances to begin with.
        kept: the languages whose utterances will be needed; those of the others are only counted. None: all.

    Attributes:
        utterances: the number of utterances of each language.
        failed: the languages of which a part could not be read.
    """

    def __init__(self, kind: str, rows: Iterable[SourceRow] = (), *, kept: Collection[str] | None = None) -> None:
        self.kind = kind
        self._notes: list[Note] = []
        self.utterances: Counter[str] = Counter()
        self.failed: dict[str, Problem] = {}
        self._kept = None if kept is None else frozenset(kept)
        self._chosen: frozenset[str] | None = None
        self._rows: Spool[SourceRow] = Spool()
        self._left_out: Spool[LeftOut] = Spool()
        self._with_split: Counter[str] = Counter()
        self._without_split: Counter[str] = Counter()
        self._languages_of_left_out: set[str] = set()
        for row in rows:
            self.add(row)

    def add(self, row: SourceRow) -> None:
        """Add an utterance."""
        self.utterances[row.language] += 1
        self._with_split[row.language] += row.split is not None
        # What has no transcript is left out, so it is not assigned to a split.
        self._without_split[row.language] += row.split is None and bool(row.text and row.text.strip())
        if self._kept is None or row.language in self._kept:
            self._rows.add(row.language, row)

    def leave_out(self, item: LeftOut) -> None:
        """Add something that is left out."""
        if item.language and item.drop.reason not in _OF_NO_LANGUAGE:
            self._languages_of_left_out.add(item.language)
        self._left_out.add("", item)

    def fail(self, failure: Failure) -> None:
        """Note that a language cannot be built, because a part of its source cannot be read."""
        self.failed.setdefault(failure.language, failure.problem)

    def __iter__(self) -> Iterator[SourceRow]:
        for language in self.utterances:
            yield from self.of(language)

    def __len__(self) -> int:
        return self.utterances.total()

    def of(self, language: str) -> Iterator[SourceRow]:
        """Yield the utterances of one language, in the order of the source."""
        assert self._kept is None or language in self._kept
        return self._rows.items(language)

    def note(self, note: Note) -> None:
        """Add a remark for the user."""
        self._notes.append(note)

    @property
    def notes(self) -> list[str]:
        """Remarks for the user."""
        chosen = self._chosen
        return [note.text for note in self._notes if chosen is None or note.language is None or note.language in chosen]

    @property
    def left_out(self) -> Iterator[LeftOut]:
        """Everything that is left out, in the order of the source."""
        chosen = self._chosen
        return (item for item in self._left_out if chosen is None or item.language is None or item.language in chosen)

    @property
    def languages(self) -> set[str]:
        """All languages with a recording or a line, even if none is usable."""
        found = self.utterances.keys() | self._languages_of_left_out | self.failed.keys()
        return set(found if self._chosen is None else found & self._chosen)

    def of_languages(self, codes: Collection[str]) -> SourceRows:
        """Return only these languages, and what was left out without a known language."""
        chosen = copy.copy(self)
        chosen._chosen = frozenset(codes)
        chosen.utterances = Counter({code: count for code, count in self.utterances.items() if code in codes})
        return chosen

    def without_split(self) -> dict[str, int]:
        """Return the number of transcribed utterances without a split, for languages in which others have one."""
        return {
            language: self._without_split[language]
            for language in sorted(self.utterances)
            if self._with_split[language] and self._without_split[language]
        }

    def drops(self) -> dict[str | None, Drops]:
        """Return what was left out, by language; under None, what belongs to none of `languages`."""
        languages = self.languages
        found: dict[str | None, Drops] = {}
        for item in self.left_out:
            language = item.language if item.language in languages else None
            found.setdefault(language, Drops()).add(item.drop)
        return found
