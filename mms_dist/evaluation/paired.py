"""How much the error rates of two transcripts of the same utterances differ, with paired bootstrap intervals.

Both transcripts are scored on the same resampled utterances (Bisani and Ney 2004, "Bootstrap estimates for confidence
intervals in ASR performance evaluation", section 4). What makes an utterance hard for both cancels, so the interval is
much narrower than those of the two rates.

Legend: N utterances, S resampled corpora.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mms_dist.evaluation.metrics import BOOTSTRAP_SAMPLES, INTERVAL, Edited, Measured, resampled


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
        """Read plain values, as `dataclasses.asdict` gives them."""
        return cls(**{each.name: float(values[each.name]) for each in fields(cls)})


@dataclass(frozen=True, slots=True)
class PairedRates:
    """The change of one rate in one language: on all utterances, and on every resampled corpus [S]."""

    change: float
    change_S: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Paired:
    """The changes of both rates in one language."""

    cer: PairedRates
    wer: PairedRates


def compare(before: Measured, after: Measured, *, seed: int = 0) -> Paired:
    """Compare two transcripts, measured against the same references in the same order."""
    draws_SN = resampled(len(before), np.random.default_rng(seed))

    def rates(first: Edited, second: Edited) -> PairedRates:
        length_N, more_N = first.length_N, second.edits_N - first.edits_N
        return PairedRates(float(more_N.sum() / length_N.sum()), (draws_SN @ more_N) / (draws_SN @ length_N))

    return Paired(rates(before.characters, after.characters), rates(before.words, after.words))


def compare_part(measured: Measured, places: NDArray[np.int64], *, seed: int = 0) -> Paired:
    """Compare some utterances, by their places, with all of them. They and the rest are resampled separately."""
    random = np.random.default_rng(seed)
    rest = np.setdiff1d(np.arange(len(measured)), places)
    draws_SN = np.zeros((BOOTSTRAP_SAMPLES, len(measured)), dtype=np.int64)
    for own in (places, rest):
        if len(own):
            draws_SN[:, own] = resampled(len(own), random)

    def rates(edited: Edited) -> PairedRates:
        edits_N, length_N, part_SN = edited.edits_N, edited.length_N, draws_SN[:, places]
        part_S = (part_SN @ edits_N[places]) / (part_SN @ length_N[places])
        change = edits_N[places].sum() / length_N[places].sum() - edits_N.sum() / length_N.sum()
        return PairedRates(float(change), part_S - (draws_SN @ edits_N) / (draws_SN @ length_N))

    return Paired(rates(measured.characters), rates(measured.words))


def mean_change(languages: Sequence[Paired]) -> Change:
    """Return the mean change over languages, each of which counts the same."""
    values: dict[str, float] = {}
    for name in ("cer", "wer"):
        rates: list[PairedRates] = [getattr(each, name) for each in languages]
        low, high = np.quantile(np.mean([each.change_S for each in rates], axis=0), INTERVAL)
        values |= {
            name: float(np.mean([each.change for each in rates])),
            f"{name}_low": float(low),
            f"{name}_high": float(high),
        }
    return Change(**values)
