"""What goes wrong in a language: utterances to look at."""

import hashlib
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from mms_dist.evaluation.stored_evaluation import StoredUtterance
from mms_dist.report.run_report import ShownUtterance
from mms_dist.report.text_alignment import segments

LEAST_CHARACTERS = 10
"""Shorter utterances are among the worst only if a language has no others: a single edit is a high rate there."""
MOST_UTTERANCES, MOST_OF_A_KIND = 600, 3
LONGEST_TEXT = 600
"""Characters of a transcript that are shown."""
WORST, RANDOM = "worst", "random"


def of_a_kind(languages: int) -> int:
    """Return how many worst and how many random utterances of each language a report shows."""
    return max(1, min(MOST_OF_A_KIND, MOST_UTTERANCES // max(1, 2 * languages)))


def shown_utterances(language: str, utterances: Sequence[StoredUtterance], most: int) -> list[ShownUtterance]:
    """Choose `most` of the worst utterances of a language, worst first, and as many random ones.

    Which ones are random follows from their row alone, so two runs show the same utterances.
    """
    long = [each for each in utterances if len(each.reference) >= LEAST_CHARACTERS]
    worst = sorted(long or utterances, key=lambda each: (-_cer(each), each.row))[:most]
    worst = [each for each in worst if _cer(each) > 0]
    chosen = {each.row for each in worst}
    others = [each for each in utterances if each.row not in chosen]
    drawn = sorted(others, key=lambda each: _hash(f"{language}/{each.row}"))[:most]
    return [_shown(each, WORST) for each in worst] + [_shown(each, RANDOM) for each in drawn]


def _shown(utterance: StoredUtterance, choice: str) -> ShownUtterance:
    reference, hypothesis = _shortened(utterance.reference), _shortened(utterance.hypothesis)
    return ShownUtterance(
        key=utterance.key,
        choice=choice,
        reference=reference,
        hypothesis=hypothesis,
        segments=segments(reference, hypothesis),
        cer=_cer(utterance),
        row=utterance.row,
        greedy=utterance.greedy,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …"


def _cer(utterance: StoredUtterance) -> float:
    return Levenshtein.distance(utterance.reference, utterance.hypothesis) / max(1, len(utterance.reference))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
