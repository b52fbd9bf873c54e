"""Error rates under conditions, such as noise, against those on clean audio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mms_dist.evaluation.paired import Change
from mms_dist.report.chart import Axis, Tick, linear_axis
from mms_dist.report.run_charts import TOP
from mms_dist.report.run_report import LanguageReport

CLEAN = "clean"
STRIP_TICKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRow:
    """One condition over the languages scored under it.

    Attributes:
        change: the mean CER minus that on clean audio, and `change_low` and `change_high` its 95 % interval, if stored.
        interval: SVG path of that interval around `mean_place`.
    """

    condition: str
    mean: float
    change: float
    change_low: float | None
    change_high: float | None
    interval: str
    worst: str
    worst_cer: float
    mean_place: float
    dots: str
    """SVG path with a point at the CER of each language, in percent of the axis."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """All conditions, clean audio first, on one axis."""

    rows: Sequence[ConditionRow]
    ticks: Sequence[Tick]
    languages: int


def robustness(languages: Sequence[LanguageReport], changes: Mapping[str, Change]) -> Robustness | None:
    """Return the conditions that the languages were scored under; None if there are none.

    A condition is compared with clean audio over the languages that have both.

    Args:
        changes: of the mean, with intervals, by condition.
    """
    scored = [each for each in languages if each.conditions and each.scores]
    names = list(dict.fromkeys(name for each in scored for name in each.conditions))
    if not names:
        return None
    clean = {each.language: each.scores.cer for each in scored if each.scores}
    rates = {CLEAN: clean} | {
        name: {each.language: each.conditions[name].cer for each in scored if name in each.conditions} for name in names
    }
    axis, ticks = linear_axis(min(TOP, max(max(own.values()) for own in rates.values())), ticks=STRIP_TICKS)
    rows = [_row(name, own, clean, changes.get(name), axis) for name, own in rates.items()]
    return Robustness(rows, axis.ticks([(rate, f"{100 * rate:g}") for rate in ticks]), len(scored))


def _row(
    name: str, rates: dict[str, float], clean: dict[str, float], stored: Change | None, axis: Axis
) -> ConditionRow:
    mean = sum(rates.values()) / len(rates)
    before = sum(clean[code] for code in rates) / len(rates)
    worst = max(rates, key=lambda code: rates[code])
    return ConditionRow(
        condition=name,
        mean=mean,
        change=mean - before,
        change_low=None if stored is None else stored.cer_low,
        change_high=None if stored is None else stored.cer_high,
        interval="" if stored is None else _interval(axis, before + stored.cer_low, before + stored.cer_high),
        worst=worst,
        worst_cer=rates[worst],
        mean_place=axis.place(mean),
        dots="".join(f"M{axis.place(rate):.1f} 50h0" for rate in rates.values()),
    )


def _interval(axis: Axis, low: float, high: float) -> str:
    return f"M{axis.place(low):.1f} 50H{axis.place(high):.1f}"
