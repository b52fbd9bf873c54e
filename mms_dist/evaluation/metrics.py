"""Character and word error rate of one language's transcripts.

Both are micro-averages over the corpus, as papers report them: all edits divided by the total length of all
references, so a long utterance weighs more than a short one. Spaces between words are characters of the CER.
Rates are fractions (0.25, not 25). They exceed 1 when a hypothesis is much longer than its reference.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jiwer
import numpy as np

from mms_dist.errors import DataError

BOOTSTRAP_SAMPLES = 1_000
CONFIDENCE = 0.95


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


def score(references: Sequence[str], hypotheses: Sequence[str], *, seed: int = 0) -> Scores:
    """CER and WER of `hypotheses` against `references`.

    A hypothesis may be empty (everything is a deletion).

    Args:
        references: transcripts, already normalised like the training text.
        hypotheses: the decoded transcripts, in the same order.
        seed: random seed of the bootstrap for the confidence interval (Bisani and Ney 2004, "Bootstrap estimates for
            confidence intervals in ASR performance evaluation").

    Raises:
        DataError: there is no reference, or one is empty and so has no error rate.
    """
    assert len(references) == len(hypotheses), (len(references), len(hypotheses))
    if not references:
        raise DataError(
            "found no utterance to score, expected at least one with a transcript in this split",
            fix="score another split, or add transcripts and build the shards again",
        )
    empty = [number for number, reference in enumerate(references) if not reference.strip()]
    if empty:
        raise DataError(
            f"reference {empty[0]} of {len(references)} is empty ({len(empty)} are empty in total), so its error rate "
            "is undefined",
            fix="build the shards again without such utterances (mms-dist shards build drops them)",
        )
    characters = jiwer.process_characters(list(references), list(hypotheses))
    words = jiwer.process_words(list(references), list(hypotheses))
    cer_low, cer_high = _interval(characters, seed)
    wer_low, wer_high = _interval(words, seed)
    return Scores(
        cer=characters.cer,
        wer=words.wer,
        cer_low=cer_low,
        cer_high=cer_high,
        wer_low=wer_low,
        wer_high=wer_high,
        utterances=len(references),
        reference_characters=sum(map(len, characters.references)),
        reference_words=sum(map(len, words.references)),
        character_edits=_edits(characters),
        word_edits=_edits(words),
    )


def _edits(output: Any) -> Edits:
    return Edits(output.substitutions, output.insertions, output.deletions)


def _interval(output: Any, seed: int) -> tuple[float, float]:
    """A rate's confidence interval: percentiles of the rate over resampled corpora."""
    length_N = np.array([len(reference) for reference in output.references])
    edits_N = np.array([_utterance_edits(alignment) for alignment in output.alignments])
    count = len(length_N)
    draws_SN = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_SAMPLES)
    rate_S = (draws_SN @ edits_N) / (draws_SN @ length_N)
    low, high = np.quantile(rate_S, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _utterance_edits(alignment: Sequence[Any]) -> int:
    return sum(
        max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for chunk in alignment
        if chunk.type != "equal"
    )
