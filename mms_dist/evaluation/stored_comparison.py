"""What `mms-dist eval --compare` stores of another model: the entries of `comparisons` in RUN/eval/SPLIT.json.

other, kind                   the model as the user wrote it, and `run` or `model`
languages.LANG                `Scores` of the other model, and
  change                      `Change`: the error rates of the run minus these, with 95 % paired intervals
  p                           two-sided p-values, of `cer` and `wer`
  same_text                   utterances with the same hypothesis
  step, checkpoint            of the other model
mean                          `cer`, `wer`, `change` and `p` of the mean over languages; null if there are none
conditions                    condition to `cer`, `wer`, `change` and `p` of the mean under it; only where there are any
left_out                      languages without a comparison, each with the reason
note                          what could not be checked, or null
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mms_dist.evaluation.paired import Change


@dataclass(frozen=True, slots=True)
class Difference:
    """The other model's error rates, and how those of the run differ. `p_cer` and `p_wer` are two-sided."""

    cer: float
    wer: float
    change: Change
    p_cer: float
    p_wer: float

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Difference":
        """Read plain values."""
        p = values["p"]
        return cls(
            float(values["cer"]),
            float(values["wer"]),
            Change.from_dict(values["change"]),
            float(p["cer"]),
            float(p["wer"]),
        )

    @property
    def our_cer(self) -> float:
        """That of the run, on the same utterances."""
        return self.cer + self.change.cer

    @property
    def our_wer(self) -> float:
        """That of the run, on the same utterances."""
        return self.wer + self.change.wer


@dataclass(frozen=True, slots=True)
class StoredComparison:
    """A comparison with one other model. `mean` is None if no language could be compared."""

    other: str
    languages: Mapping[str, Difference]
    mean: Difference | None
    left_out: Mapping[str, str]
    note: str | None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "StoredComparison":
        """Read plain values."""
        return cls(
            other=str(values["other"]),
            languages={code: Difference.from_dict(each) for code, each in values["languages"].items()},
            mean=Difference.from_dict(values["mean"]) if values.get("mean") else None,
            left_out={code: str(reason) for code, reason in values.get("left_out", {}).items()},
            note=values.get("note"),
        )

    @property
    def by_change(self) -> list[tuple[str, Difference]]:
        """The languages, those first whose CER gains most against the other model."""
        return sorted(self.languages.items(), key=lambda item: (item[1].change.cer, item[0]))
