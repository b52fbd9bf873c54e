"""The text of a recording as the search sees it: words, and the labels of each in the vocabulary of an adapter.

Words keep their raw form, since `shards build` normalises the text of the utterances that are cut.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mms_dist.emissions.windows import FRAME_SECONDS
from shards.drops import Rejected
from shards.text.normaliser import MARKUP, TextNormaliser
from shards.text.romanise import romanised
from shards.text_rules import TextRules
from shards.vocabulary import Vocabulary
from shards.vocabulary_choice import stand_in

LONGEST_WORD = 40
"""Characters. Longer ones are taken for text without spaces, which may be cut at every character."""
SLACK_SECONDS = 30.0
"""By how much rough times may be wrong."""
_TOKEN = re.compile(rf"{MARKUP.pattern}|\S+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text, and, if they are known, about when it begins and ends, in seconds."""

    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """A word in its raw form.

    Attributes:
        labels: ids in the vocabulary; none if it cannot be read.
        line: number of its line.
        spaced: whether there is a space before it.
        reason: why it cannot be read, one of `shards.drops.REASONS`, or empty.
    """

    raw: str
    labels: tuple[int, ...]
    line: int
    spaced: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Passage:
    """The words of a recording's text. Those that cannot be read, such as numbers, are not searched for."""

    words: Sequence[Word]
    lines: Sequence[Line]
    readable: Sequence[int] = field(init=False)
    """Places of the words that are searched for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "readable", [place for place, word in enumerate(self.words) if word.labels])

    @property
    def labels(self) -> NDArray[np.int64]:
        """Ids of all words that can be read, without spaces."""
        return np.array([label for place in self.readable for label in self.words[place].labels], np.int64)

    @property
    def word_ends(self) -> NDArray[np.int64]:
        """For each word that can be read, the number of labels up to its end."""
        return np.cumsum([len(self.words[place].labels) for place in self.readable], dtype=np.int64)

    def rough_frames(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return, for each word that can be read, the first and last frame where it may be; None if nothing is known.

        Both only grow from word to word.
        """
        if all(line.start is None and line.end is None for line in self.lines):
            return None
        starts = np.array([np.nan if line.start is None else line.start for line in self.lines])
        ends = np.array([np.nan if line.end is None else line.end for line in self.lines])
        # Where a time is missing, the text may be as early as the line before, and as late as the line after.
        first_L = np.minimum.accumulate(_filled(starts, 0.0)[::-1])[::-1] - SLACK_SECONDS
        last_L = np.maximum.accumulate(_filled(np.fmax(starts, ends)[::-1], np.inf)[::-1]) + SLACK_SECONDS
        lines = [self.words[place].line for place in self.readable]
        frames = np.clip(np.stack([first_L[lines], last_L[lines]]) / FRAME_SECONDS, 0, 2**40).astype(np.int64)
        return frames[0], frames[1]


class PassageReader:
    """Turns lines of text into words with labels.

    Args:
        rules: of the text's language.
        vocabulary: of the adapter.
        romanise: the text's language, if the adapter is of another one: what the adapter cannot write is romanised.
    """

    def __init__(self, rules: TextRules, vocabulary: Vocabulary, *, romanise: str | None = None) -> None:
        self._normalise = TextNormaliser(rules)
        self._ids = {token: number for number, token in enumerate(vocabulary.tokens)}
        self._romanise = romanise
        self._known: dict[str, tuple[tuple[int, ...], str]] = {}

    def passage(self, lines: Sequence[Line]) -> Passage:
        """Return the words of a text."""
        words = []
        for number, line in enumerate(lines):
            for found in _TOKEN.finditer(line.text):
                pieces = [found[0]] if len(found[0]) <= LONGEST_WORD or MARKUP.fullmatch(found[0]) else list(found[0])
                words += [
                    Word(piece, *self._read(piece)[:1], number, place == 0, self._read(piece)[1])
                    for place, piece in enumerate(pieces)
                ]
        return Passage(words, lines)

    def _read(self, raw: str) -> tuple[tuple[int, ...], str]:
        if raw not in self._known:
            try:
                self._known[raw] = self._labels(self._normalise(raw)), ""
            except Rejected as rejected:
                # Punctuation alone is said by nobody, so nothing is missing.
                self._known[raw] = (), "" if rejected.reason == "empty" else rejected.reason
        return self._known[raw]

    def _labels(self, text: str) -> tuple[int, ...]:
        if self._romanise is not None and any(letter not in self._ids for letter in text if letter != " "):
            text = romanised(text, self._romanise)
        pieces = (letter if letter in self._ids else stand_in(letter, self._ids, "map") for letter in text)
        labels = tuple(self._ids[piece] for found in pieces for piece in found if piece != " ")
        if not labels:
            raise Rejected("unsupported_characters", repr(text))
        return labels


def _filled(values: NDArray[np.float64], first: float) -> NDArray[np.float64]:
    """Return the values with the last known one wherever one is missing, and `first` before all of them."""
    known = ~np.isnan(values)
    last_known = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.where(last_known < 0, first, values[last_known])
