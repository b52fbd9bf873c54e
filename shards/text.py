"""Transcripts to training text, by the rules of their language."""

from __future__ import annotations

import re
import unicodedata

from shards.text_rules import TextRules

# Typographic and mistyped apostrophes; folded before NFKC, which takes some of them apart, and after it makes some.
_APOSTROPHES = dict.fromkeys(map(ord, "’‘ʼ＇′`´ʹ"), "'")
_JOINERS = "\u200c\u200d"
# Punctuation by Unicode, but spoken: what was said can not be known from the character.
_SPOKEN = frozenset("&%‰@#*/\\§")
_MARKUP = re.compile(r"\[[^\]]*\]|<[^>]*>|\{[^}]*\}")
# A whole number that stands alone: not part of a decimal, a date, a range, an ordinal or a code.
_WHOLE_NUMBER = re.compile(r"(?<![\w.,:/'’-])\d{1,15}(?![\w%°'’]|[.,:/-]\w|[-/])")


class Rejected(Exception):
    """An utterance that can not be trained on: `reason` is a name to count by, `detail` what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TextNormaliser:
    """Callable on a raw transcript; always gives the same text for the same transcript and rules."""

    def __init__(self, rules: TextRules) -> None:
        self.rules = rules

    def __call__(self, raw: str) -> str:
        """Training text: words of letters and marks, separated by single spaces.

        Raises:
            Rejected: `empty`, `markup`, `numbers` or `unsupported_characters`.
        """
        if _MARKUP.search(raw):
            raise Rejected("markup", raw)
        rules = self.rules
        text = unicodedata.normalize("NFC", raw)
        # Roman numerals, fractions and superscripts: NFKC would hide that they are numbers.
        if any(unicodedata.category(character) in ("Nl", "No") for character in text):
            raise Rejected("numbers", repr(text))
        text = unicodedata.normalize(rules.form, text.translate(_APOSTROPHES)).translate(_APOSTROPHES)
        for old, new in rules.replace.items():
            text = text.replace(old, new)
        if any(_is_number(character) for character in text):
            text = self._spell_numbers(text)
        if rules.lower:
            text = text.lower()
        pieces = [self._piece(text, position) for position in range(len(text))]
        text = unicodedata.normalize(rules.form, " ".join("".join(pieces).split()))
        if not any(character.isalpha() for character in text):
            raise Rejected("empty", repr(raw))
        return text

    def _piece(self, text: str, position: int) -> str:
        """What becomes of one character."""
        character = text[position]
        if character.isalpha():
            return character
        if character.isspace():
            return " "
        if character == "'":
            return self._inner(text, position, {"inside": "'", "space": " ", "drop": ""}, self.rules.apostrophes)
        category = unicodedata.category(character)
        if category[0] == "M":
            return character
        if category == "Cf":
            return character if character in _JOINERS and self.rules.joiners == "keep" else ""
        if category == "Pd":
            return self._inner(text, position, {"keep": "-", "space": " ", "drop": ""}, self.rules.hyphens)
        if category[0] == "P" and character not in _SPOKEN:
            return " "
        if category[0] in "ZC":
            return " "
        raise Rejected("unsupported_characters", f"{character!r} in {text!r}")

    def _inner(self, text: str, position: int, kept: dict[str, str], rule: str) -> str:
        """An apostrophe or hyphen by its rule; outside a word it is a quotation mark or a dash, hence a space."""
        if rule == "anywhere":
            return text[position]
        inside = 0 < position < len(text) - 1 and _in_word(text[position - 1]) and _in_word(text[position + 1])
        return kept[rule] if inside else " "

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
    # By category: Chinese numerals are letters here, though they are numeric.
    return unicodedata.category(character)[0] == "N"


def _in_word(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character)[0] == "M"
