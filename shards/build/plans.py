"""The plans of many languages, of which one at a time is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from shards.build.candidates import Candidate, LanguagePlan
from shards.errors import Problem
from shards.splits import SPLITS
from shards.spool import Spool


class Plans:
    """The plans of the languages that can be built, in the order in which they were added.

    Attributes:
        totals: the number of utterances of each language.
        failed: by language, why it cannot be built.
    """

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.failed: dict[str, Problem] = {}
        self._plans: dict[str, LanguagePlan] = {}
        self._candidates: Spool[Candidate] = Spool()

    def add(self, plan: LanguagePlan) -> None:
        """Add the plan of one more language."""
        self.totals[plan.language] = plan.total
        self._plans[plan.language] = replace(plan, candidates={})
        for split, candidates in plan.candidates.items():
            for candidate in candidates:
                self._candidates.add(f"{plan.language}/{split}", candidate)

    @property
    def drops(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What is left out already, as `Drops.as_dict`, by language."""
        return {language: plan.drops.as_dict() for language, plan in self._plans.items()}

    def __iter__(self) -> Iterator[LanguagePlan]:
        for language, plan in self._plans.items():
            yield replace(
                plan, candidates={split: list(self._candidates.items(f"{language}/{split}")) for split in SPLITS}
            )

    def __len__(self) -> int:
        return len(self._plans)
