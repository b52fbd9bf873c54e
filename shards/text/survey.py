"""Count what is in the raw transcripts of a language, and what its rules make of it."""

from __future__ import annotations

import heapq
import re
import statistics
import unicodedata
from array import array
from collections import Counter
from dataclasses import dataclass, field

from shards.drops import Drops, Rejected
from shards.text.look_alikes import look_alikes
from shards.text.normaliser import MARKUP, TextNormaliser
from shards.text.numbers import has_numbers
from shards.text.scripts import is_mixed, mixed_words, scripts_in
from shards.text_rules import TextRules

RARE_TEXTS = 5
"""A character in fewer transcripts is rare."""
_FAR = 3.0
"""A length this many times above or below the median is suspicious."""
_EXAMPLES = 3
_DIGITS = re.compile(r"\d[\d.,:/-]*\d|\d")


@dataclass(slots=True)
class Lengths:
    """The lengths of transcripts: in letters a second where the duration is known, else in letters.

    `low`, `high`: the most extreme, as pairs of length and place.
    """

    unit: str
    median: float
    suspicious: int
    low: list[tuple[float, str]]
    high: list[tuple[float, str]]


@dataclass(slots=True)
class _Measured:
    """Lengths of one unit."""

    values: array[float] = field(default_factory=lambda: array("f"))
    low: list[tuple[float, str]] = field(default_factory=list)
    high: list[tuple[float, str]] = field(default_factory=list)

    def add(self, value: float, where: str) -> None:
        self.values.append(value)
        for heap, key in ((self.low, -value), (self.high, value)):
            heapq.heappush(heap, (key, where))
            if len(heap) > _EXAMPLES:
                heapq.heappop(heap)

    def summary(self, unit: str) -> Lengths | None:
        if not self.values:
            return None
        median = statistics.median(self.values)
        low, high = median / _FAR, median * _FAR
        return Lengths(
            unit,
            median,
            sum(not low <= value <= high for value in self.values),
            sorted((-key, where) for key, where in self.low if -key < low),
            sorted(((key, where) for key, where in self.high if key > high), reverse=True),
        )


class TextSurvey:
    """Counts over the transcripts of one language: `add` each, then read the attributes.

    Attributes:
        texts: the number of transcripts.
        drops: those that the rules leave out, by reason, with examples.
        seen: how often each character is in the raw transcripts.
        kept: how often each character is in the training text.
        in_texts: in how many transcripts each character of the training text is.
        example_words: for each of these characters, the first word with it.
        refused: characters that cost their transcript, and how many.
        mixed: the number of transcripts with letters of several scripts.
        mixed_words: words with letters of several scripts, and how many.
        numbers: numbers in transcripts that are left out for numbers, and how many.
        spelled: the number of transcripts whose numbers were spelled.
        markup: what is in brackets, in small letters, and how many.
    """

    def __init__(self, language: str, rules: TextRules) -> None:
        self.language = language
        self.rules = rules
        self.texts = 0
        self.drops = Drops()
        self.seen: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.in_texts: Counter[str] = Counter()
        self.example_words: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.scripts: Counter[str] = Counter()
        self.mixed = 0
        self.mixed_words: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()
        self.spelled = 0
        self.markup: Counter[str] = Counter()
        self._normalise = TextNormaliser(rules)
        self._rates, self._letters = _Measured(), _Measured()
        self._in_foreign_words: Counter[str] = Counter()

    def add(self, raw: str, where: str, seconds: float | None = None) -> None:
        """Count one transcript; `where` names it in examples."""
        self.texts += 1
        composed = unicodedata.normalize("NFC", raw)
        self.seen.update(character for character in composed if not character.isspace())
        self.markup.update(tag[1:-1].strip().casefold() for tag in MARKUP.findall(raw))
        try:
            text = self._normalise(raw)
        except Rejected as rejected:
            self.drops.add(rejected.at(where))
            if rejected.reason == "numbers":
                self.numbers.update(_DIGITS.findall(raw))
            elif rejected.reason == "unsupported_characters":
                self.refused.update(one for one in set(composed) if self._normalise.outcome(one) is None)
            return
        self.spelled += has_numbers(raw)
        self._count(text)
        letters = sum(map(str.isalnum, text))
        if seconds:
            self._rates.add(letters / seconds, where)
        else:
            self._letters.add(letters, where)

    def _count(self, text: str) -> None:
        self.kept.update(text.replace(" ", ""))
        scripts = scripts_in(text)
        self.scripts.update(scripts)
        words = text.split()
        main = max(self.scripts, key=lambda script: self.scripts[script], default="")
        if is_mixed(scripts) or main not in scripts:
            self.mixed += is_mixed(scripts)
            typed = set(mixed_words(text))
            self.mixed_words.update(typed)
            for word in words:
                if word not in typed and main not in scripts_in(word):
                    self._in_foreign_words.update(word)
        for character in set(text) - {" "}:
            self.in_texts[character] += 1
            if character not in self.example_words:
                self.example_words[character] = next(word for word in words if character in word)

    @property
    def usable(self) -> int:
        """The number of transcripts that become training text."""
        return self.texts - self.drops.total

    def lost(self) -> dict[str, str]:
        """Return the characters that become a space or nothing, with which of the two."""
        lost = {}
        for character in self.seen:
            outcome = self._normalise.outcome(character)
            if outcome is None or character in self.kept or any(piece in self.kept for piece in outcome):
                continue
            if not outcome.strip(" -'"):  # hyphens and apostrophes are letters in some places
                lost[character] = " " if outcome else ""
        return lost

    def rare(self) -> list[str]:
        """Return the characters of the training text that are in few transcripts, the rarest first."""
        found = [character for character, count in self.in_texts.items() if count < RARE_TEXTS]
        return sorted(found, key=lambda character: (self.in_texts[character], character))

    def look_alikes(self) -> dict[str, str]:
        """Return letters that look like another with which the text is written, and that other.

        A letter that is also in words of its own script alone is left out: there it is right.
        """
        alike = look_alikes(self.kept)
        return {letter: other for letter, other in alike.items() if letter not in self._in_foreign_words}

    def lengths(self) -> list[Lengths]:
        """Return the lengths, in each unit in which there are any."""
        summaries = (self._rates.summary("letters a second"), self._letters.summary("letters"))
        return [summary for summary in summaries if summary]
