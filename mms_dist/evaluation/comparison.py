"""The scores of two models on the same utterances, and whether their difference is more than chance."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mms_dist.evaluation.metrics import MeasuredTexts, Scores, in_both
from mms_dist.evaluation.paired import Change, Paired, compare, mean_change
from mms_dist.evaluation.score_run import LanguageResult


@dataclass(frozen=True)
class ComparedLanguage:
    """One language.

    Attributes:
        ours, theirs: scores of the run and of the other model, on the utterances that both could read.
        paired: those of the run minus those of the other model.
        same_text: utterances with the same hypothesis.
        step, checkpoint: of the other model.
    """

    ours: Scores
    theirs: Scores
    paired: Paired
    same_text: int
    step: int | None
    checkpoint: str

    @property
    def change(self) -> Change:
        """The differences, with their intervals."""
        return mean_change([self.paired])


@dataclass(frozen=True)
class Comparison:
    """A run beside another model.

    Attributes:
        other: its name, and `kind`: `run` or `model`.
        decoders: of the other model, by language.
        left_out: languages without a comparison, each with the reason.
        note: something about the splits that could not be checked; None if nothing.
        conditions: the same under conditions, by label and language.
    """

    other: str
    kind: str
    languages: Mapping[str, ComparedLanguage]
    left_out: Mapping[str, str]
    note: str | None = None
    conditions: Mapping[str, Mapping[str, ComparedLanguage]] = field(default_factory=dict)

    @property
    def mean(self) -> Change | None:
        """The mean differences over languages, each counting the same; None if there are none."""
        return mean_change([each.paired for each in self.languages.values()]) if self.languages else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = {
            "other": self.other,
            "kind": self.kind,
            "languages": {code: _language_json(each) for code, each in sorted(self.languages.items())},
            "mean": _mean_json(self.languages),
            "left_out": dict(self.left_out),
            "note": self.note,
        }
        return values | (
            {"conditions": {k: _mean_json(own) for k, own in self.conditions.items()}} if self.conditions else {}
        )


def compare_results(ours: LanguageResult, theirs: LanguageResult) -> ComparedLanguage:
    """Compare two models in one language, on the utterances that both could read."""
    return _compared(ours.texts, theirs.texts, theirs)


def compare_conditions(ours: LanguageResult, theirs: LanguageResult) -> dict[str, ComparedLanguage]:
    """Compare two models in one language under every condition that both were scored under, by label."""
    return {
        label: _compared(own.texts, theirs.conditions[label].texts, theirs)
        for label, own in ours.conditions.items()
        if label in theirs.conditions
    }


def _compared(ours: MeasuredTexts, theirs: MeasuredTexts, other: LanguageResult) -> ComparedLanguage:
    own, their = in_both(ours, theirs)
    assert len(own.rows), "both are of the same split, and at least one utterance of it could be read"
    return ComparedLanguage(
        ours=own.measured.scores(),
        theirs=their.measured.scores(),
        # Languages are resampled independently of each other, for the interval of their mean.
        paired=compare(their.measured, own.measured, seed=zlib.crc32(other.language.encode())),
        same_text=sum(one == two for one, two in zip(own.hypotheses, their.hypotheses, strict=True)),
        step=other.step,
        checkpoint=other.checkpoint,
    )


def p_values(languages: Sequence[Paired]) -> dict[str, float]:
    """Return two-sided p-values of the mean CER and WER differences: twice the share of resampled corpora on which the
    difference has the other sign or is zero, at most 1. It is at least 2 / (S + 1), for S resampled corpora.

    Davison and Hinkley 1997, "Bootstrap methods and their application", section 4.4.
    """
    return {
        "cer": _p_value(np.mean([each.cer.change_S for each in languages], axis=0)),
        "wer": _p_value(np.mean([each.wer.change_S for each in languages], axis=0)),
    }


def _p_value(change_S: NDArray[np.float64]) -> float:
    not_lower, not_higher = int((change_S >= 0).sum()), int((change_S <= 0).sum())
    return min(1.0, 2 * (1 + min(not_lower, not_higher)) / (1 + len(change_S)))


def _language_json(each: ComparedLanguage) -> dict[str, Any]:
    return each.theirs.as_dict() | {
        "change": asdict(each.change),
        "p": p_values([each.paired]),
        "same_text": each.same_text,
        "step": each.step,
        "checkpoint": each.checkpoint,
    }


def _mean_json(languages: Mapping[str, ComparedLanguage]) -> dict[str, Any] | None:
    every = list(languages.values())
    if not every:
        return None
    return {
        "cer": float(np.mean([each.theirs.cer for each in every])),
        "wer": float(np.mean([each.theirs.wer for each in every])),
        "change": asdict(mean_change([each.paired for each in every])),
        "p": p_values([each.paired for each in every]),
    }
