"""Character and word error rate of one language's transcripts.

Both are micro-averages over the corpus, as papers report them: all edits divided by the total length of all
references, so a long utterance weighs more than a short one. Spaces between words are characters of the CER, except
where words are not spaced (`ScoringRules`). Rates are fractions (0.25, not 25). They exceed 1 when a hypothesis is much
longer than its reference.

Legend: N utterances, 3 kinds of edit (substituted, inserted, deleted), S resampled corpora.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from mms_dist.errors import DataError
from mms_dist.evaluation.scoring_rules import AS_WRITTEN, ScoringRules

BOOTSTRAP_SAMPLES = 1_000
CONFIDENCE = 0.95
INTERVAL = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""The quantiles that bound it."""
GOOD_CER, FAIR_CER = 0.10, 0.25
"""Transcripts up to the first need few corrections, those above the second need them throughout."""


@dataclass(frozen=True, slots=True)
class Edits:
    """The edits that turn the references into the hypotheses, counted over the corpus."""

    substitutions: int
    insertions: int
    deletions: int

    @property
    def total(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Error rates of one language on one set of utterances.

    `cer_low` and `cer_high` bound the CER's 95 % confidence interval, estimated by resampling utterances; likewise for
    the WER.
    """

    cer: float
    wer: float
    cer_low: float
    cer_high: float
    wer_low: float
    wer_high: float
    utterances: int
    reference_characters: int
    reference_words: int
    character_edits: Edits
    word_edits: Edits

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Edited:
    """How many units (characters or words) each reference has, and the edits of its hypothesis."""

    length_N: NDArray[np.int64]
    edits_N3: NDArray[np.int64]

    @property
    def edits_N(self) -> NDArray[np.int64]:
        """All edits of each utterance."""
        total_N: NDArray[np.int64] = self.edits_N3.sum(axis=1)
        return total_N

    def of(self, chosen: NDArray[Any]) -> "Edited":
        """Return some utterances, by mask or place."""
        return Edited(self.length_N[chosen], self.edits_N3[chosen])


@dataclass(frozen=True, slots=True)
class Measured:
    """Every utterance measured once, so that any set of them can be scored."""

    characters: Edited
    words: Edited

    def __len__(self) -> int:
        return len(self.characters.length_N)

    def of(self, chosen: NDArray[Any]) -> "Measured":
        """Return some utterances, by mask or place."""
        return Measured(self.characters.of(chosen), self.words.of(chosen))

    def scores(self, *, seed: int = 0) -> Scores:
        """Score all utterances.

        Args:
            seed: random seed of the bootstrap for the confidence interval (Bisani and Ney 2004, "Bootstrap estimates
                for confidence intervals in ASR performance evaluation").
        """
        draws_SN = resampled(len(self), np.random.default_rng(seed))
        rates: dict[str, float] = {}
        for name, edited in (("cer", self.characters), ("wer", self.words)):
            rate_S = (draws_SN @ edited.edits_N) / (draws_SN @ edited.length_N)
            low, high = np.quantile(rate_S, INTERVAL)
            rates |= {
                name: float(edited.edits_N.sum() / edited.length_N.sum()),
                f"{name}_low": float(low),
                f"{name}_high": float(high),
            }
        return Scores(
            **rates,
            utterances=len(self),
            reference_characters=int(self.characters.length_N.sum()),
            reference_words=int(self.words.length_N.sum()),
            character_edits=Edits(*map(int, self.characters.edits_N3.sum(axis=0))),
            word_edits=Edits(*map(int, self.words.edits_N3.sum(axis=0))),
        )


@dataclass(frozen=True, slots=True)
class MeasuredTexts:
    """The hypotheses of some utterances of a split, by their rows in it, and their errors."""

    rows: Sequence[int]
    hypotheses: Sequence[str]
    measured: Measured

    def of(self, chosen: NDArray[np.int64]) -> "MeasuredTexts":
        """Return some utterances, by their places."""
        places = chosen.tolist()
        hypotheses = [self.hypotheses[place] for place in places]
        return MeasuredTexts([self.rows[place] for place in places], hypotheses, self.measured.of(chosen))


def in_both(one: MeasuredTexts, other: MeasuredTexts) -> tuple[MeasuredTexts, MeasuredTexts]:
    """Return the utterances that both have, in the same order."""
    _, ones, others = np.intersect1d(one.rows, other.rows, assume_unique=True, return_indices=True)
    return one.of(ones), other.of(others)


def resampled(count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each of `count` utterances is in each resampled corpus `[S, N]`."""
    return random.multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_SAMPLES)


def measure(references: Sequence[str], hypotheses: Sequence[str], rules: ScoringRules = AS_WRITTEN) -> Measured:
    """Align every hypothesis with its reference.

    A hypothesis may be empty (everything is a deletion).

    Args:
        references: transcripts, already normalised like the training text.
        hypotheses: the decoded transcripts, in the same order.

    Raises:
        DataError: there is no reference, or one is empty and so has no error rate.
    """
    assert len(references) == len(hypotheses), (len(references), len(hypotheses))
    if not references:
        raise DataError(
            "found no utterance to score, expected at least one with a transcript in this split",
            fix="score another split, or add transcripts and build the shards again",
        )
    texts = [rules.words(text) for text in references], [rules.words(text) for text in hypotheses]
    empty = [number for number, reference in enumerate(texts[0]) if not reference.strip()]
    if empty:
        raise DataError(
            f"reference {empty[0]} of {len(references)} is empty ({len(empty)} are empty in total), so its error rate "
            "is undefined",
            fix="build the shards again without such utterances (mms-dist shards build drops them)",
        )
    characters = [[rules.characters(text) for text in side] for side in texts]
    return Measured(_edited(jiwer.process_characters(*characters)), _edited(jiwer.process_words(*texts)))


def score(references: Sequence[str], hypotheses: Sequence[str], *, seed: int = 0) -> Scores:
    """CER and WER of `hypotheses` against `references`, as they are; raises as `measure`."""
    return measure(references, hypotheses).scores(seed=seed)


def _edited(output: Any) -> Edited:
    return Edited(
        np.array([len(reference) for reference in output.references]),
        np.array([_edits_of(alignment) for alignment in output.alignments]),
    )


def _edits_of(alignment: Sequence[Any]) -> list[int]:
    edits = dict.fromkeys(("substitute", "insert", "delete", "equal"), 0)
    for chunk in alignment:
        edits[chunk.type] += max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
    return [edits["substitute"], edits["insert"], edits["delete"]]
