"""Align a hypothesis with its reference, character by character, for people to read.

A character here is what a reader sees as one: a letter with its combining marks.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

LONG_SEGMENT = 12
"""Characters after which a difference is cut at the reference's next space, whether the hypothesis has it or not."""
LONG_WORD = 24
"""Characters without a space after which it is cut at the next character that agrees: some scripts have no spaces."""
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A piece of the two texts that belongs together: equal, or different."""

    reference: str
    hypothesis: str

    @property
    def equal(self) -> bool:
        return self.reference == self.hypothesis


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: `reference` is empty for an inserted character, `hypothesis` for a deleted one."""

    reference: str
    hypothesis: str


def characters(text: str) -> list[str]:
    """Split a text into letters with their marks."""
    found: list[str] = []
    for character in text:
        if found and (character in _JOINERS or unicodedata.category(character).startswith("M")):
            found[-1] += character
        else:
            found.append(character)
    return found


def edits(reference: str, hypothesis: str) -> list[Edit]:
    """Return the fewest edits that turn the reference into the hypothesis."""
    return [Edit(*pair) for pair in _pairs(characters(reference), characters(hypothesis)) if pair[0] != pair[1]]


def segments(reference: str, hypothesis: str) -> list[AlignedText]:
    """Cut both texts at the spaces that they share, and where they differ for long; join neighbours that agree."""
    found: list[AlignedText] = []
    left = right = ""
    length = word = 0  # characters of the current segment, and of its last word
    for one, other in _pairs(characters(reference), characters(hypothesis)):
        if one == other and (one == " " or word >= LONG_WORD):
            _append(found, left, right)
            _append(found, one, other)
            left, right, length, word = "", "", 0, 0
            continue
        if one == " " and length >= LONG_SEGMENT:
            _append(found, left, right)
            left, right, length = "", "", 0
        left, right, length = left + one, right + other, length + 1
        word = 0 if one == " " else word + 1
    _append(found, left, right)
    return found


def _append(found: list[AlignedText], reference: str, hypothesis: str) -> None:
    if not reference and not hypothesis:
        return
    if found and found[-1].equal and reference == hypothesis:
        found[-1] = AlignedText(found[-1].reference + reference, found[-1].hypothesis + hypothesis)
    else:
        found.append(AlignedText(reference, hypothesis))


def _pairs(reference: list[str], hypothesis: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the aligned characters, an empty string where one of the texts has none."""
    for operation in Levenshtein.opcodes(reference, hypothesis):
        left = reference[operation.src_start : operation.src_end]
        right = hypothesis[operation.dest_start : operation.dest_end]
        for place in range(max(len(left), len(right))):
            yield (left[place] if place < len(left) else "", right[place] if place < len(right) else "")
