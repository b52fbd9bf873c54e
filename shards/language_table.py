"""The table of languages: all codes of MMS and of ISO 639-3, and the ways in which corpora write them."""

from __future__ import annotations

import difflib
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("languages.tsv")
_LENGTH_DIFFERENCE = 3
_LIKENESS = 0.7
_CODE_LETTERS = 3  # a name of up to three letters, such as En or Ron, would be taken for a code
_ADAPTER_REPOSITORIES = {"all": "facebook/mms-1b-all", "fl102": "facebook/mms-1b-fl102"}


@dataclass(frozen=True, slots=True)
class Language:
    """A language that can be trained, in one script or dialect where MMS tells these apart.

    `script` is an ISO 15924 code, the usual one if the code names none; empty if unknown. `macrolanguage` is the ISO
    639-3 code of the group that it belongs to, or empty. `models` are MMS's models on the Hub with an adapter of this
    name. `aliases` are other names and codes.
    """

    code: str
    name: str
    script: str
    macrolanguage: str
    models: tuple[str, ...]
    aliases: tuple[str, ...]

    @property
    def base(self) -> str:
        """The ISO 639-3 code alone."""
        return self.code.partition("-")[0]


class LanguageTable:
    """All languages by code, and by every other way to write them."""

    def __init__(self, languages: Iterable[Language]) -> None:
        self.by_code = {language.code: language for language in languages}
        self._literal: dict[str, list[Language]] = defaultdict(list)
        self._spelled: dict[str, list[Language]] = defaultdict(list)
        self._by_base: dict[str, list[Language]] = defaultdict(list)
        for language in self.by_code.values():
            self._by_base[language.base].append(language)
            for alias in language.aliases:
                if "_" in alias:
                    self._literal[alias].append(language)
                else:
                    self._spelled[spelling_of(alias)].append(language)
        for language in self.by_code.values():
            if not self._is_name_of_members(language) and len(language.name) > _CODE_LETTERS:
                self._spelled[spelling_of(language.name)].append(language)

    def _is_name_of_members(self, language: Language) -> bool:
        """Whether the name is an alias of the members of this group, or of the scripts of this language."""
        named = self._spelled.get(spelling_of(language.name), [])
        return any(language.code in (one.base, one.macrolanguage) for one in named if one is not language)

    def __iter__(self) -> Iterator[Language]:
        return iter(self.by_code.values())

    def of_base(self, base: str) -> list[Language]:
        """Return the languages with this ISO 639-3 code: itself, and its scripts and dialects."""
        return self._by_base.get(base, [])

    def written(self, text: str) -> list[Language]:
        """Return the languages that `text` may mean: as an alias in this very spelling, else in any case."""
        found = self._literal.get(text) or self._spelled.get(spelling_of(text), [])
        return list(dict.fromkeys(found))

    def nearest(self, text: str, count: int) -> list[str]:
        """Return up to `count` codes, names or aliases that are spelled almost like `text`, the nearest first."""
        spelling = spelling_of(text)
        # Typing errors are rare at the beginning of a word, and the comparison is slow.
        alike = [one for one in self._by_initial[spelling[:1]] if abs(len(one) - len(spelling)) <= _LENGTH_DIFFERENCE]
        return difflib.get_close_matches(spelling, alike, n=count, cutoff=_LIKENESS)

    @functools.cached_property
    def _by_initial(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for spelling in {*self.by_code, *self._spelled}:
            found[spelling[:1]].append(spelling)
        return found


def spelling_of(text: str) -> str:
    """Return `text` in the form in which aliases are compared: `PT_br` and `pt-BR` are equal, and so are spaces."""
    return " ".join(text.casefold().replace("_", "-").split())


@functools.cache
def language_table() -> LanguageTable:
    """Return the table that the package ships."""
    lines = (line for line in _FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    next(lines)  # the header
    return LanguageTable(map(_language, lines))


def _language(line: str) -> Language:
    code, name, script, macrolanguage, models, aliases = line.split("\t")
    return Language(
        code,
        name,
        script,
        macrolanguage,
        tuple(_ADAPTER_REPOSITORIES[model] for model in models.split()),
        tuple(aliases.split(" | ")) if aliases else (),
    )
