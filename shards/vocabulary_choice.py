"""Choose the vocabulary of a language, and what becomes of the characters of its training text that are not in it."""

from __future__ import annotations

import functools
import hashlib
import json
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shards import storage
from shards.errors import ShardsError, SourceError
from shards.file_content import detect_placeholder_in
from shards.schema import VOCABULARY_NAME
from shards.text.diacritics import without_diacritics
from shards.vocabulary import FIXED, REMOVED, UNKNOWN_TOKEN, Vocabulary, token_ids

Outside = Literal["map", "remove", "unknown"]
# How other tokenizers name the fixed tokens, and tokens that stand for no character.
_SPECIAL = frozenset({*FIXED, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", " "})


@dataclass(frozen=True)
class GivenVocabulary:
    """Vocabularies made elsewhere, such as that of MMS's adapters: a `vocab.json`, or a folder.

    The file holds one language or several. A folder holds such a file, or `<language>/vocab.json`. `place` is a path or
    a URL, where a folder is what does not end in `.json`.
    """

    place: str

    def check(self) -> None:
        """Read the file that has all languages, if it is one, so that a wrong path is an error at once.

        Raises:
            ShardsError: there is none, or it cannot be read.
        """
        if not self._is_folder():
            _content(self.place)

    def of(self, language: str) -> Vocabulary:
        """Return a language's vocabulary, with its ids if it begins with the fixed tokens.

        Raises:
            SourceError: there is none, or it cannot be read.
        """
        place = self._file(language)
        content = _content(place)
        try:
            ids = token_ids(content, language)
        except ShardsError as error:
            raise SourceError(f"--vocabulary {place}: {error.found}", error.fix) from error
        tokens = sorted(ids, key=ids.__getitem__)
        if tuple(tokens[: len(FIXED)]) == FIXED and sorted(ids.values()) == list(range(len(ids))):
            return Vocabulary(language, tuple(tokens))
        return Vocabulary(language, FIXED + tuple(token for token in tokens if token not in _SPECIAL))

    def _is_folder(self) -> bool:
        path = storage.local_path(self.place)
        return path.is_dir() if path is not None else not self.place.endswith(".json")

    def _file(self, language: str) -> str:
        if not self._is_folder():
            return self.place
        places = (storage.join(self.place, language, VOCABULARY_NAME), storage.join(self.place, VOCABULARY_NAME))
        found = next(filter(storage.exists, places), None)
        if found is None:
            raise SourceError(
                f"--vocabulary {self.place}: no vocab.json there, and no {language}/vocab.json",
                fix="name the file, or a folder of adapters or shards",
            )
        return found


@functools.lru_cache(maxsize=8)
def _content(place: str) -> Any:
    try:
        data = storage.read_bytes(place)
    except FileNotFoundError as error:
        found = f"--vocabulary {place} cannot be read: there is no such file"
        raise ShardsError(found, fix="check the path") from error
    if instead := detect_placeholder_in(data, place.rpartition("/")[0] or "."):
        raise ShardsError(f"--vocabulary {place} {instead.found}", instead.fix)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        found = f"--vocabulary {place} is not JSON: {error}"
        raise ShardsError(found, fix="expected a vocab.json as MMS and mms-dist write it") from error


@dataclass(frozen=True)
class VocabularyOptions:
    """How the vocabulary of a language is chosen.

    `given`: take it from there. Otherwise it has the characters that occur at least `min_count` times in the training
    text, and of these the `max_characters` most frequent. `outside`: what becomes of the others in the training text:
    `map` them to the nearest character of the vocabulary and remove those that have none, `remove` them, or `unknown`,
    the token `<unk>`.
    """

    min_count: int = 1
    max_characters: int | None = None
    given: GivenVocabulary | None = None
    outside: Outside = "map"

    def fingerprint(self, language: str) -> dict[str, Any]:
        """Return what determines the choice, for a build's fingerprint; empty for the default.

        Raises:
            SourceError: the given vocabulary cannot be read, or lacks the language.
        """
        if self == VocabularyOptions(outside=self.outside):
            return {}
        tokens = json.dumps(self.given.of(language).tokens) if self.given else ""
        return {
            "min_count": self.min_count,
            "max_characters": self.max_characters,
            "given": hashlib.blake2b(tokens.encode(), digest_size=8).hexdigest() if tokens else None,
            "outside": self.outside,
        }


ALL_CHARACTERS = VocabularyOptions()
"""The default: every character of the training text."""


def choose_vocabulary(
    language: str, counts: Mapping[str, int], options: VocabularyOptions
) -> tuple[Vocabulary, dict[str, dict[str, Any]]]:
    """Return the vocabulary, and for every other character of the training text its count and what it becomes.

    Args:
        counts: how often each character is in the training text.

    Raises:
        SourceError: the given vocabulary lacks the language, or no character of the text is in it.
    """
    characters = {character: count for character, count in counts.items() if character not in " |"}
    if options.given:
        vocabulary = options.given.of(language)
    else:
        frequent = sorted(
            (character for character, count in characters.items() if count >= options.min_count),
            key=lambda character: (-characters[character], character),
        )
        vocabulary = Vocabulary(language, FIXED + tuple(sorted(frequent[: options.max_characters])))
    known = frozenset(vocabulary.tokens)
    if characters and known.isdisjoint(characters):
        raise SourceError(
            f"no character of the training text of {language} is in its vocabulary",
            fix="check --vocabulary and the script and case of the text, or lower --min-count",
        )
    outside = {
        character: {"count": count, "as": stand_in(character, known, options.outside)}
        for character, count in sorted(characters.items())
        if character not in known
    }
    return vocabulary, outside


def stand_in(character: str, known: Collection[str], rule: Outside) -> str:
    """Return what a character becomes that is not in the vocabulary."""
    if rule == "unknown":
        return UNKNOWN_TOKEN
    if rule == "map":
        for other in _like(character):
            if other and all(piece in known for piece in other):
                return other
    return REMOVED


def _like(character: str) -> Iterator[str]:
    """Yield what a character may be replaced by, the nearest first."""
    for form in (character, unicodedata.normalize("NFKC", character), without_diacritics(character)):
        yield from (form, form.lower(), form.upper(), without_diacritics(form.lower()))
    if character in "ʼʻ’‘`´ʹ′":
        yield "'"
