"""Several runs side by side: the same languages, what differs in their settings, and how long they took."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mms_dist.errors import MmsDistError
from mms_dist.evaluation.metrics import Scores
from mms_dist.report.run_report import LanguageReport, RunReport

MOST_RUNS = 26
"""They are named by letters."""
ALSO_DIFFERENT = ("run.directory",)
"""Settings that differ between any two runs."""


@dataclass(frozen=True)
class ComparedLanguage:
    """One language in every run; None where a run does not have it."""

    language: str
    reports: Sequence[LanguageReport | None]

    @property
    def rates(self) -> list[float | None]:
        """CER in each run."""
        return [each.cer if each else None for each in self.reports]

    @property
    def best(self) -> int | None:
        """The run with the lowest CER, if it is the only one."""
        known = [rate for rate in self.rates if rate is not None and rate == rate]
        lowest = min(known, default=None)
        return self.rates.index(lowest) if lowest is not None and known.count(lowest) == 1 and len(known) > 1 else None

    @property
    def change(self) -> float | None:
        """CER in the last run minus that in the first."""
        first, last = self.rates[0], self.rates[-1]
        return None if first is None or last is None else last - first

    @property
    def apart(self) -> bool:
        """Whether the intervals of the first and the last run do not overlap."""
        scores = [each.scores if each else None for each in (self.reports[0], self.reports[-1])]
        return scores[0] is not None and scores[1] is not None and _apart(scores[0], scores[1])


@dataclass(frozen=True)
class ComparedSetting:
    """A setting whose value is not the same in all runs; None where it is not known."""

    name: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Comparison:
    """Several runs. `common` are the languages that every run has a CER of."""

    runs: Sequence[RunReport]
    languages: Sequence[ComparedLanguage]
    common: Sequence[ComparedLanguage]
    settings: Sequence[ComparedSetting]

    @property
    def same_split(self) -> bool:
        """Whether all runs were scored on the same split."""
        return len({run.split for run in self.runs}) == 1

    @property
    def unlike(self) -> list[str]:
        """What else differs in how the common languages were scored: `decoders`, `scoring rules`, `shards`."""
        reports = [[report for report in each.reports if report] for each in self.common]
        found = []
        if any(len({report.decoding for report in own}) > 1 for own in reports):
            found.append("decoders")
        if any(len({report.rules for report in own if report.rules}) > 1 for own in reports):
            found.append("scoring rules")
        if len({run.data.shards for run in self.runs}) > 1:
            found.append("shards")
        return found

    def mean(self, run: int) -> float | None:
        """Mean CER of a run over the common languages."""
        rates = [rate for each in self.common if (rate := each.rates[run]) is not None]
        return sum(rates) / len(rates) if rates else None

    def wins(self, run: int) -> int:
        """Number of common languages for which this run alone has the lowest CER."""
        return sum(each.best == run for each in self.common)


def compare(runs: Sequence[RunReport]) -> Comparison:
    """Put runs side by side, languages by the size of their change.

    Raises:
        MmsDistError: there are too many.
    """
    if len(runs) > MOST_RUNS:
        raise MmsDistError(f"found {len(runs)} runs, expected at most {MOST_RUNS}", fix="compare fewer at a time")
    by_code = [{each.language: each for each in run.languages} for run in runs]
    codes = sorted({code for languages in by_code for code in languages})
    languages = [ComparedLanguage(code, [own.get(code) for own in by_code]) for code in codes]
    languages.sort(key=lambda each: (each.change is None, each.change or 0.0, each.language))
    common = [each for each in languages if all(rate is not None and rate == rate for rate in each.rates)]
    return Comparison(runs, languages, common, _settings(runs))


def _settings(runs: Sequence[RunReport]) -> list[ComparedSetting]:
    values = [{each.name: each.value for each in run.settings} for run in runs]
    names = [name for name in dict.fromkeys(name for own in values for name in own) if name not in ALSO_DIFFERENT]
    rows = [ComparedSetting(name, [own.get(name) for own in values]) for name in names]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def _apart(one: Scores, other: Scores) -> bool:
    return one.cer_high < other.cer_low or other.cer_high < one.cer_low
