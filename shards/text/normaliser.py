"""Normalise transcripts to training text, by the rules of their language."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any

from shards.drops import Rejected
from shards.text import apostrophes, punctuation
from shards.text.characters import (
    JOINERS,
    folded,
    is_letter,
    is_mark,
    visible,
    without_outer_joiners,
    without_soft_dots,
)
from shards.text.diacritics import without_diacritics
from shards.text.numbers import has_numbers, numeral_of_palochka, roman_numeral, spelled
from shards.text.romanise import romanised
from shards.text.version_1 import TextNormaliserV1, TextRulesV1
from shards.text_rules import TextRules, stored_rules

# Punctuation in Unicode that is spoken: the character does not tell which words were said.
_SPOKEN = frozenset("&%‰‱٪؉؊@#*/\\§⁊៘〃ªº")
# Text in brackets, each kind alone.
MARKUP = re.compile(r"\[[^\[\]]*\]|<[^<>]*>|\{[^{}]*\}")

# Next to a space or at an end of the text, a hyphen is a dash.
_OUTER_HYPHEN = re.compile(r"(?<![^\s'-])-|-(?![^\s'-])")
_LONE_HYPHEN = re.compile(r"(?<![^\s'-])-(?![^\s'-])")
# What a hyphen between letters becomes, by rule.
_INNER_HYPHEN = {"keep": "-", "anywhere": "-", "space": " ", "drop": ""}
# A Latin I typed in a Cyrillic word does not become ı.
_DOTLESS_CAPITAL = re.compile("(?<![\u0400-\u052f])I(?![\u0400-\u052f])")
# Candidates for a combining mark without a letter before it.
_FIRST_IN_PIECE = re.compile(r"(?<![^\s'-])[^\w\s'-]+")


class TextNormaliser:
    """Normalises raw transcripts. The result depends only on the transcript and the rules.

    The result is in NFC, and normalising it again changes nothing.
    """

    def __init__(self, rules: TextRules) -> None:
        self.rules = rules
        self._characters = _CharacterTable(rules)
        # `replace` runs after invisible characters are removed and forms are folded. So keys with invisible characters
        # are replaced first, and all others are folded like the text.
        self._replace_first = {old: new for old, new in rules.replace.items() if visible(old, joiners=True) != old}
        typed = {letter: sign for sign, letter in rules.letters.items() if sign != apostrophes.APOSTROPHE}
        self._replace = {
            self._folded(unicodedata.normalize("NFC", old)): new
            for old, new in [*rules.replace.items(), *typed.items()]
            if old not in self._replace_first
        }
        # If the ʻokina is typed as itself, it is certainly a letter before a letter.
        self._okina = rules.letters.get(apostrophes.APOSTROPHE)
        sign = re.escape(self._okina or "ʻ")
        self._okina_elsewhere = re.compile(f"{sign}(?![^\\W{sign}])")

    def __call__(self, raw: str) -> str:
        """Return the training text: words of letters and marks, separated by single spaces.

        Raises:
            Rejected: `empty`, `markup`, `numbers` or `unsupported_characters`.
        """
        rules = self.rules
        text = without_markup(raw, rules.markup)
        if MARKUP.search(text):
            raise Rejected("markup", repr(raw))
        for old, new in self._replace_first.items():
            text = text.replace(old, new)
        text = self._folded(unicodedata.normalize("NFC", visible(text, joiners=rules.joiners == "keep")))
        for old, new in self._replace.items():
            text = text.replace(old, new)
        if self._okina is not None and self._okina in text:
            text = self._okina_elsewhere.sub(apostrophes.APOSTROPHE, text)
        if roman_numeral(text):
            raise Rejected("numbers", f"{roman_numeral(text)!r} in {text!r}")
        if has_numbers(text):
            text = spelled(text, rules)
        if rules.lower:
            text = _lowered(text, dotless_i=rules.dotless_i)
        if rules.diacritics == "strip":
            text = without_diacritics(text, rules.diacritics_except)
        if rules.romanise:
            text = romanised(text, rules.romanise)
        text = self._words(without_soft_dots(text))
        if not any(map(is_letter, text)):
            raise Rejected("empty", repr(raw))
        if numeral_of_palochka(text):
            raise Rejected("numbers", f"{numeral_of_palochka(text)!r} in {text!r}")
        return text

    def outcome(self, character: str) -> str | None:
        """Return what a single character becomes: letters, a space, nothing; None if it costs its utterance."""
        text = self._folded(unicodedata.normalize("NFC", visible(character, joiners=self.rules.joiners == "keep")))
        text = self._replace.get(text, text)
        try:
            return text.translate(self._characters)
        except _UnsupportedError:
            return None

    def _folded(self, text: str) -> str:
        return apostrophes.fold(folded(text) if self.rules.form == "NFKC" else text, self.rules.apostrophes)

    def _without_quotation_marks(self, text: str) -> str:
        rules = self.rules
        often_first = self._okina is not None and self._okina not in text
        return apostrophes.keep_letters(text, rules.apostrophes, rules.apostrophe_before, often_first=often_first)

    def _words(self, text: str) -> str:
        """Keep only letters and marks. Repeat until nothing changes, since each removal gives words new edges."""
        rules = self.rules
        text = self._without_quotation_marks(text)
        try:
            text = text.translate(self._characters)
        except _UnsupportedError as error:
            raise Rejected("unsupported_characters", f"{error.character!r} in {text!r}") from None
        previous = ""
        while previous != text:
            previous = text
            text = self._without_quotation_marks(text)
            if "''" in text:
                text = text.replace("''", self._replace.get("''", "''"))
            if "-" in text:
                outer = _LONE_HYPHEN if rules.hyphens == "anywhere" else _OUTER_HYPHEN
                text = outer.sub(" ", text).replace("-", _INNER_HYPHEN[rules.hyphens])
            for mark, place in rules.marks.items():
                if mark in text:
                    text = _with_mark(text, mark, place)
            text = _FIRST_IN_PIECE.sub(_without_marks, text)
            text = unicodedata.normalize("NFC", " ".join(without_outer_joiners(text).split()))
            text = without_soft_dots(text)
        if rules.punctuation == "keep":
            text = punctuation.attached(text)
        for typed, letter in rules.letters.items():
            text = text.replace(typed, letter)
        return text


def without_markup(raw: str, rule: str | Collection[str]) -> str:
    """Return `raw` without what the rule `markup` removes."""
    if rule == "drop":
        return raw
    names = None if rule == "remove" else {name.casefold() for name in rule}
    previous = ""
    while previous != raw:  # brackets may be nested
        previous = raw
        raw = MARKUP.sub(lambda tag: " " if names is None or tag[0][1:-1].strip().casefold() in names else tag[0], raw)
    return raw


def stored_normaliser(stored: Mapping[str, Any]) -> Callable[[str], str]:
    """Return the normaliser for the rules stored in an index. Version 1 rules still give the same text as ever.

    Raises:
        ShardsError: the rules are of a later version, or invalid.
    """
    known = {rule.name for rule in fields(TextRulesV1)}
    if "version" not in stored and set(stored) <= known:
        return TextNormaliserV1(TextRulesV1(**stored))
    return TextNormaliser(stored_rules(stored))


def _lowered(text: str, *, dotless_i: bool) -> str:
    """Return `text` in lower case. As with `str.lower`, İ becomes i and a combining dot."""
    return (_DOTLESS_CAPITAL.sub("ı", text) if dotless_i else text).lower()


def _with_mark(text: str, mark: str, place: str) -> str:
    """Keep `mark` where it belongs to a word, and replace it with a space elsewhere."""
    pieces = text.split(mark)
    joined = pieces[0]
    for piece in pieces[1:]:
        before = joined[-1:] != "" and is_letter(joined[-1])
        after = piece[:1] != "" and is_letter(piece[0])
        kept = {"inside": before and after, "start": after, "end": before}[place]
        joined += (mark if kept else " ") + piece
    return joined


def _without_marks(found: re.Match[str]) -> str:
    """Remove the combining marks that begin a piece, since they have no letter to combine with."""
    return found[0].lstrip(
        "".join(character for character in set(found[0]) if is_mark(character) or character in JOINERS)
    )


class _UnsupportedError(Exception):
    def __init__(self, character: str) -> None:
        super().__init__(character)
        self.character = character


class _CharacterTable(dict[int, str]):
    """A table for `str.translate` that maps each character regardless of context; filled at first use."""

    def __init__(self, rules: TextRules) -> None:
        super().__init__()
        self._marks = frozenset(rules.marks)
        self._punctuation = punctuation.SIGNS if rules.punctuation == "keep" else frozenset()

    def __missing__(self, codepoint: int) -> str:
        self[codepoint] = piece = self._piece(chr(codepoint))
        return piece

    def _piece(self, character: str) -> str:
        category = unicodedata.category(character)
        if character in self._marks or character == "'" or character in JOINERS:
            return character
        if character in self._punctuation:
            return f" {character} "
        if character in _SPOKEN:
            raise _UnsupportedError(character)
        if is_letter(character):
            return character
        if category == "Pd":
            return "-"
        # Other control characters mean that the text was decoded with the wrong encoding; private-use characters may
        # stand for letters. Neither may be dropped silently.
        if category[0] in "ZP" or (category == "Cc" and character.isspace()):
            return " "
        raise _UnsupportedError(character)
