"""What is scored, and how: choices that hold alike for a run and for the models that it is compared with."""

from collections.abc import Collection
from dataclasses import dataclass

from mms_dist.evaluation.condition_scoring import NO_CONDITIONS, Conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions:
    """How a split is scored.

    Attributes:
        split: `train`, `dev` or `test`.
        max_utterances: largest number of utterances per language, selected by a hash of their ids; None: all.
        tune: find the weights of the language models on dev first.
        processes: how many processes search; 1: this one.
        ignore: differences that are not errors, of `scoring_rules.IGNORABLE`.
        conditions: under which the split is scored as well.
    """

    split: str
    max_utterances: int | None = None
    tune: bool = False
    processes: int = 1
    ignore: Collection[str] = ()
    conditions: Conditions = NO_CONDITIONS
