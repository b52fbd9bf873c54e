"""Normalise training text for shard indexes with version 1 rules, which are still read but no longer written.

The labels, lengths and vocabulary of such an index match the text that these rules produce, so the behaviour of this
file must not change. `shards index --force` replaces the rules with version 2, which fixes them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal

from shards.drops import Rejected

# Typographic and mistyped apostrophes. Folded before NFKC, which decomposes some of them, and again after, since it
# produces some.
_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ＇′`´ʹ"), "'")
_JOINERS = "\u200c\u200d"
# Punctuation in Unicode that is spoken: the character does not tell which words were said.
_SPOKEN = frozenset("&%‰@#*/\\§")
_MARKUP = re.compile(r"\[[^\]]*\]|<[^>]*>|\{[^}]*\}")
# A whole number that stands alone: not part of a decimal, a date, a range, an ordinal or a code.
_WHOLE_NUMBER = re.compile(r"(?<![\w.,:/'’-])\d{1,15}(?![\w%°'’]|[.,:/-]\w|[-/])")

# Next to a space or at an end of the text, it is a quotation mark or a dash.
_OUTER_APOSTROPHE = re.compile(r"(?<![^\s'-])'|'(?![^\s'-])")
_OUTER_HYPHEN = re.compile(r"(?<![^\s'-])-|-(?![^\s'-])")
# What an apostrophe or hyphen between letters becomes, by rule.
_INNER_APOSTROPHE = {"inside": "'", "space": " ", "drop": ""}
_INNER_HYPHEN = {"keep": "-", "space": " ", "drop": ""}


@dataclass(frozen=True)
class TextRulesV1:
    """The rules that an index of version 1 stores."""

    form: Literal["NFC", "NFKC"] = "NFKC"
    lower: bool = True
    replace: dict[str, str] = field(default_factory=dict)
    apostrophes: str = "inside"
    hyphens: str = "space"
    joiners: str = "drop"
    numbers: str = "drop"


class TextNormaliserV1:
    """Normalises raw transcripts. The result depends only on the transcript and the rules."""

    def __init__(self, rules: TextRulesV1) -> None:
        self.rules = rules
        self._characters = _CharacterTable(rules)

    def __call__(self, raw: str) -> str:
        """Return the training text: words of letters and marks, separated by single spaces.

        Raises:
            Rejected: `empty`, `markup`, `numbers` or `unsupported_characters`.
        """
        if _MARKUP.search(raw):
            raise Rejected("markup", raw)
        rules = self.rules
        text = unicodedata.normalize("NFC", raw)
        # Checked before NFKC, which would hide that Roman numerals, fractions and superscripts are numbers.
        if any(unicodedata.category(character) in ("Nl", "No") for character in set(text)):
            raise Rejected("numbers", repr(text))
        text = unicodedata.normalize(rules.form, text.translate(_APOSTROPHES)).translate(_APOSTROPHES)
        for old, new in rules.replace.items():
            text = text.replace(old, new)
        if any(map(_is_number, set(text))):
            text = self._spell_numbers(text)
        if rules.lower:
            text = text.lower()
        try:
            words = text.translate(self._characters)
        except _UnsupportedError as error:
            raise Rejected("unsupported_characters", f"{error.character!r} in {text!r}") from None
        if "'" in words and rules.apostrophes != "anywhere":
            words = _OUTER_APOSTROPHE.sub(" ", words).replace("'", _INNER_APOSTROPHE[rules.apostrophes])
        if "-" in words:
            words = _OUTER_HYPHEN.sub(" ", words).replace("-", _INNER_HYPHEN[rules.hyphens])
        text = unicodedata.normalize(rules.form, " ".join(words.split()))
        if not any(map(str.isalpha, text)):
            raise Rejected("empty", repr(raw))
        return text

    def _spell_numbers(self, text: str) -> str:
        if self.rules.numbers == "drop":
            raise Rejected("numbers", repr(text))
        from num2words import num2words

        text = "".join(
            str(unicodedata.digit(character)) if unicodedata.category(character) == "Nd" else character
            for character in text
        )
        text = _WHOLE_NUMBER.sub(lambda found: num2words(int(found[0]), lang=self.rules.numbers), text)
        if any(_is_number(character) for character in text):
            raise Rejected("numbers", repr(text))
        return text


def _is_number(character: str) -> bool:
    # By category, because Chinese numerals count as letters here although they are numeric.
    return unicodedata.category(character)[0] == "N"


class _UnsupportedError(Exception):
    def __init__(self, character: str) -> None:
        super().__init__(character)
        self.character = character


class _CharacterTable(dict[int, str]):
    """A table for `str.translate` that maps each character regardless of context; filled at first use."""

    def __init__(self, rules: TextRulesV1) -> None:
        super().__init__()
        self._keep_joiners = rules.joiners == "keep"

    def __missing__(self, codepoint: int) -> str:
        self[codepoint] = piece = self._piece(chr(codepoint))
        return piece

    def _piece(self, character: str) -> str:
        category = unicodedata.category(character)
        if category[0] in "LM" or character == "'":
            return character
        if category == "Pd":
            return "-"
        if category == "Cf":
            return character if character in _JOINERS and self._keep_joiners else ""
        if category[0] in "ZC" or (category[0] == "P" and character not in _SPOKEN):
            return " "
        raise _UnsupportedError(character)
