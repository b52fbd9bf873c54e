"""How much two transcripts of the same utterances differ in their error rates, with paired bootstrap intervals.

Both transcripts are scored on the same resampled utterances (Bisani and Ney 2004, "Bootstrap estimates for confidence
intervals in ASR performance evaluation", section 4). What makes an utterance hard for both cancels, so the interval is
much narrower than those of the two rates.

Legend: N utterances, S resampled corpora.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from mms_dist.evaluation.metrics import BOOTSTRAP_SAMPLES, CONFIDENCE


@dataclass(frozen=True, slots=True)
class Change:
    """Error rates minus those they are compared with, and 95 % confidence intervals of these differences."""

    cer: float
    cer_low: float
    cer_high: float
    wer: float
    wer_low: float
    wer_high: float

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Change":
        return cls(**{each.name: float(values[each.name]) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class PairedRates:
    """The change of one rate in one language: on all utterances, and on every resampled corpus [S]."""

    change: float
    change_S: np.ndarray


@dataclass(frozen=True, slots=True)
class Paired:
    """The changes of both rates in one language."""

    cer: PairedRates
    wer: PairedRates


def compare(references: Sequence[str], before: Sequence[str], after: Sequence[str], *, seed: int = 0) -> Paired:
    """Compare two hypotheses for each reference."""
    count = len(references)
    draws_SN = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=BOOTSTRAP_SAMPLES)

    def rates(units: Callable[[str], Sequence[str]]) -> PairedRates:
        texts = [units(reference) for reference in references]
        length_N = np.array([len(text) for text in texts])
        more_N = np.array(
            [
                Levenshtein.distance(text, units(second)) - Levenshtein.distance(text, units(first))
                for text, first, second in zip(texts, before, after, strict=True)
            ]
        )
        return PairedRates(float(more_N.sum() / length_N.sum()), (draws_SN @ more_N) / (draws_SN @ length_N))

    return Paired(cer=rates(str.strip), wer=rates(str.split))


def mean_change(languages: Sequence[Paired]) -> Change:
    """Return the mean change over languages, each of which counts the same."""
    values: dict[str, float] = {}
    for name in ("cer", "wer"):
        rates: list[PairedRates] = [getattr(each, name) for each in languages]
        change_S = np.mean([each.change_S for each in rates], axis=0)
        low, high = np.quantile(change_S, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        values |= {name: float(np.mean([each.change for each in rates])), f"{name}_low": float(low)}
        values[f"{name}_high"] = float(high)
    return Change(**values)
