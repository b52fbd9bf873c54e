"""Observers: called at fixed points of training, on each rank. docs/extending.md shows how to add one.

The reports to the monitor are made by an observer, too. An observer should only read training state; nothing prevents
it from changing it. An error that it raises ends the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mms_dist.monitor.reports import EvaluationReport, RoundReport
from mms_dist.training.active_language import ActiveLanguage


class Observer:
    """Base of all observers. Override what you need; every method does nothing by default.

    All methods but `event` are called by the main thread, in the order of the round. A rank calls them for the
    languages that it owns.
    """

    def before_round(self, number: int, languages: Sequence[ActiveLanguage]) -> None:
        """Round `number` begins, and its audio is about to be read."""

    def before_pass(self, number: int, passes: int) -> None:
        """Forward and backward pass `number` (from 1) of the round's `passes` is about to be computed."""

    def after_passes(self, gradients: Mapping[str, Tensor]) -> None:
        """All passes are queued; `gradients` are views of the rows by language, not yet summed over their owners."""

    def before_evaluation(self, languages: Sequence[str]) -> None:
        """The dev split of these languages is about to be transcribed."""

    def evaluated(self, report: EvaluationReport) -> None:
        """A language whose first owner is this rank has its dev scores."""

    def after_round(self, report: RoundReport) -> None:
        """The round is done on this rank: steps are taken, languages evaluated, saved and finished."""

    def event(self, kind: str, **fields: Any) -> None:
        """Something of `mms_dist.monitor.events.KINDS` happened, such as `admitted`, `checkpoint_saved`, `finished` or
        `quarantined`; `fields` have `language`, `round` and `step` where they apply. From any thread."""


@dataclass
class Observers(Observer):
    """Tells several observers, in this order."""

    members: list[Observer] = field(default_factory=list)

    def before_round(self, number: int, languages: Sequence[ActiveLanguage]) -> None:
        for each in self.members:
            each.before_round(number, languages)

    def before_pass(self, number: int, passes: int) -> None:
        for each in self.members:
            each.before_pass(number, passes)

    def after_passes(self, gradients: Mapping[str, Tensor]) -> None:
        for each in self.members:
            each.after_passes(gradients)

    def before_evaluation(self, languages: Sequence[str]) -> None:
        for each in self.members:
            each.before_evaluation(languages)

    def evaluated(self, report: EvaluationReport) -> None:
        for each in self.members:
            each.evaluated(report)

    def after_round(self, report: RoundReport) -> None:
        for each in self.members:
            each.after_round(report)

    def event(self, kind: str, **fields: Any) -> None:
        for each in self.members:
            each.event(kind, **fields)
