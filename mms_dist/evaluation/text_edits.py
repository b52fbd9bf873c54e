"""The edits between transcripts and what was said, and the most frequent of them: confusions.

A character here is what a reader sees as one: a letter with its combining marks.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rapidfuzz.distance import Levenshtein

from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules

MOST_CONFUSIONS = 20
"""Of characters, and of words, that are kept of a language."""
FEWEST_WORDS = 2
"""How often two words are confused at least: once is an accident of the alignment."""
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: `reference` is empty for what was inserted, `hypothesis` for what was deleted."""

    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """An edit and how often it occurs in the split. `reference` is empty if something was inserted."""

    reference: str
    hypothesis: str
    count: int


@dataclass(frozen=True, slots=True)
class Confusions:
    """The most frequent edits of a language, most frequent first."""

    characters: Sequence[Confusion] = field(default_factory=tuple)
    words: Sequence[Confusion] = field(default_factory=tuple)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Confusions":
        """Read what `dataclasses.asdict` gave."""
        kinds = {kind: [_confusion(each) for each in values[kind]] for kind in ("characters", "words")}
        return cls(**kinds)


def characters(text: str) -> list[str]:
    """Split a text into letters with their marks."""
    found: list[str] = []
    for character in text:
        if found and (character in _JOINERS or unicodedata.category(character).startswith("M")):
            found[-1] += character
        else:
            found.append(character)
    return found


def aligned(reference: Sequence[str], hypothesis: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the aligned characters or words, an empty string where one of the texts has none."""
    for operation in Levenshtein.opcodes(reference, hypothesis):
        left = reference[operation.src_start : operation.src_end]
        right = hypothesis[operation.dest_start : operation.dest_end]
        for place in range(max(len(left), len(right))):
            yield (left[place] if place < len(left) else "", right[place] if place < len(right) else "")


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Edit]:
    """Return the fewest edits that turn the characters or words of the reference into those of the hypothesis."""
    return [Edit(*pair) for pair in aligned(reference, hypothesis) if pair[0] != pair[1]]


def confusions(pairs: Iterable[tuple[str, str]], rules: ScoringRules = AS_WRITTEN) -> Confusions:
    """Return the most frequent edits of a language, from its references with their hypotheses."""
    of_characters: Counter[Edit] = Counter()
    of_words: Counter[Edit] = Counter()
    for pair in pairs:
        of_characters.update(edits(*(characters(rules.characters(text)) for text in pair)))
        of_words.update(edits(*(rules.words(text).split() for text in pair)))
    of_words = Counter({edit: count for edit, count in of_words.items() if count >= FEWEST_WORDS})
    return Confusions(_most_frequent(of_characters), _most_frequent(of_words))


def _most_frequent(counts: Counter[Edit]) -> list[Confusion]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0].reference, item[0].hypothesis))
    return [Confusion(edit.reference, edit.hypothesis, count) for edit, count in ordered[:MOST_CONFUSIONS]]


def _confusion(values: dict[str, Any]) -> Confusion:
    return Confusion(str(values["reference"]), str(values["hypothesis"]), int(values["count"]))
