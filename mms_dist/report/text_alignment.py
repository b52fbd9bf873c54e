"""Align a hypothesis with its reference, character by character, for people to read."""

from dataclasses import dataclass

from mms_dist.evaluation.text_edits import aligned, characters

LONG_SEGMENT = 12
"""Characters after which a difference is cut at the reference's next space, whether the hypothesis has it or not."""
LONG_WORD = 24
"""Characters without a space after which it is cut at the next character that agrees: some scripts have no spaces."""


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A piece of the two texts that belongs together: equal, or different."""

    reference: str
    hypothesis: str

    @property
    def equal(self) -> bool:
        return self.reference == self.hypothesis


def segments(reference: str, hypothesis: str) -> list[AlignedText]:
    """Cut both texts at the spaces that they share, and where they differ for long; join neighbours that agree."""
    found: list[AlignedText] = []
    left = right = ""
    length = word = 0  # characters of the current segment, and of its last word
    for one, other in aligned(characters(reference), characters(hypothesis)):
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
