"""The charts of a run."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import quantiles

from mms_dist.monitor.formatting import percent
from mms_dist.monitor.history import LanguageHistory
from mms_dist.report.chart import (
    Axis,
    Chart,
    ChartLine,
    Dot,
    Label,
    band_of,
    linear_axis,
    logarithmic_axis,
    path_of,
    spread,
    without_overlaps,
)
from mms_dist.report.run_report import LanguageReport, RunReport, Timing

FEW = 10
"""Up to this many languages, colours and labels keep curves apart."""
MOST_POINTS = 40
TOP = 1.0
"""Highest CER on an axis: untrained heads write more characters than were said, which would flatten everything else."""
MOST_INK = 30
"""Thin curves become fainter, so that all together are as dark as this many."""
LABEL_GAP = 6.5  # percent of the height
LABELLED_DOTS = 40
GRID = 60


def learning_curves(languages: Sequence[LanguageReport]) -> Chart | None:
    """Dev CER against the languages' own steps: one colour each, or all in grey with their median."""
    curves = {each.language: curve_of(each.history) for each in languages}
    curves = {code: curve for code, curve in curves.items() if len(curve) > 1}
    if not curves:
        return None
    end = max(curve[-1][0] for curve in curves.values())
    high = min(TOP, max(cer for curve in curves.values() for _, cer in curve))
    x_axis, steps = linear_axis(end)
    x_axis = Axis(0, end)
    y_axis, rates = linear_axis(high)
    places = {code: [(x_axis.place(step), y_axis.place(cer)) for step, cer in curve] for code, curve in curves.items()}
    few = len(curves) <= FEW
    lines = [
        ChartLine(path_of(curve), f"curve c{index}" if few else "curve thin", code)
        for index, (code, curve) in enumerate(places.items())
    ]
    areas, legend = [], []
    if few:
        labels = _end_labels(places, curves)
    else:
        lower, median, upper = _quantiles(places)
        areas = [ChartLine(band_of(lower, upper), "band")]
        lines.append(ChartLine(path_of(median), "curve median"))
        legend = [("median", "median"), ("band", "middle 80 % of languages"), ("thin", "each language")]
        named = sorted(curves, key=lambda code: curves[code][-1][1])
        named = [named[0], named[len(named) // 2], named[-1]]
        labels = _end_labels({code: places[code] for code in named}, curves, style="muted")
    best = sorted((curve[-1][1], code) for code, curve in curves.items())
    return Chart(
        description=(
            f"Learning curves of {len(curves)} languages: dev CER over steps. Lowest at the end: {best[0][1]} with "
            f"{percent(best[0][0])} %, highest: {best[-1][1]} with {percent(best[-1][0])} %."
        ),
        x_title="optimizer steps of the language",
        y_title="dev CER %",
        x_ticks=x_axis.ticks([(step, f"{step:,.0f}") for step in steps]),
        y_ticks=y_axis.ticks([(rate, f"{100 * rate:g}") for rate in rates]),
        lines=lines,
        areas=areas,
        labels=labels,
        legend=legend,
        faint=min(0.5, MOST_INK / len(curves)),
    )


def hours_against_error(run: RunReport) -> Chart | None:
    """CER against training audio, on a logarithmic axis."""
    known = [(each, each.train_seconds / 3600, each.cer) for each in run.scored_languages if each.train_seconds]
    found = [(each, hours, cer) for each, hours, cer in known if cer is not None]
    if len(found) < 2:
        return None
    longest = max(hours for _, hours, _ in found)
    unit, per_hour = ("minutes", 60.0) if longest < 1 else ("hours", 1.0)
    x_axis, amounts = logarithmic_axis([per_hour * hours for _, hours, _ in found])
    y_axis, rates = linear_axis(min(TOP, max(cer for _, _, cer in found)))
    label_all = len(found) <= LABELLED_DOTS
    dots = [
        Dot(
            x_axis.place(per_hour * hours),
            y_axis.place(cer),
            f"dot {each.grade}",
            each.language,
            f"{each.language}: {hours_text(hours)}, CER {percent(cer)} %",
            label=each.language if label_all else "",
            left=x_axis.place(per_hour * hours) > 85,
        )
        for each, hours, cer in found
    ]
    return Chart(
        description=(
            f"{run.split} CER against hours of training audio for {len(found)} languages, from "
            f"{hours_text(min(hours for _, hours, _ in found))} to {hours_text(longest)}. "
            "The table of languages has all values."
        ),
        x_title=f"{unit} of training audio (logarithmic)",
        y_title=f"{run.split} CER %",
        x_ticks=x_axis.ticks([(amount, f"{amount:g}") for amount in amounts]),
        y_ticks=y_axis.ticks([(rate, f"{100 * rate:g}") for rate in rates]),
        dots=without_overlaps(dots),
    )


def greedy_against_language_model(run: RunReport) -> Chart | None:
    """CER with a language model against that of greedy decoding: below the diagonal the model helps."""
    pairs = [(each, each.greedy.cer, each.scores.cer) for each in run.with_greedy if each.greedy and each.scores]
    if not pairs:
        return None
    axis, rates = linear_axis(min(TOP, max(max(greedy, cer) for _, greedy, cer in pairs)))
    ticks = axis.ticks([(rate, f"{100 * rate:g}") for rate in rates])
    better = sum(cer < greedy for _, greedy, cer in pairs)
    return Chart(
        description=f"The language model lowers the CER of {better} of {len(pairs)} languages.",
        x_title="greedy CER %",
        y_title="CER % with the language model",
        x_ticks=ticks,
        y_ticks=ticks,
        lines=[ChartLine("M0 100L100 0", "diagonal")],
        dots=without_overlaps(
            [
                Dot(
                    axis.place(greedy),
                    axis.place(cer),
                    "dot good" if cer < greedy else "dot poor",
                    each.language,
                    f"{each.language}: greedy {percent(greedy)} %, with the language model {percent(cer)} %",
                    label=each.language if len(pairs) <= LABELLED_DOTS else "",
                    left=axis.place(greedy) > 85,
                )
                for each, greedy, cer in pairs
            ]
        ),
        legend=[("good", "the language model helps"), ("poor", "it does not")],
    )


def loss_over_time(timing: Timing) -> Chart | None:
    """Mean loss of the active languages over the time of training."""
    points = [(seconds / 3600, line.loss) for seconds, line in timing.series]
    known = [(hours, loss) for hours, loss in points if loss is not None and math.isfinite(loss)]
    return _over_time(known, "mean training loss", "loss") if len(known) > 1 else None


def speed_over_time(timing: Timing) -> Chart | None:
    """Audio trained on per second over the time of training."""
    points = [(seconds / 3600, line.audio_seconds_per_second) for seconds, line in timing.series]
    return _over_time(points, "seconds of audio per second", "speed") if len(points) > 1 else None


def hours_text(hours: float) -> str:
    """`12 min` or `3.4 h`."""
    return f"{60 * hours:.0f} min" if hours < 1 else f"{hours:,.1f} h"


def _over_time(points: Sequence[tuple[float, float]], title: str, name: str) -> Chart:
    in_minutes = points[-1][0] < 1
    points = [(60 * hours if in_minutes else hours, value) for hours, value in points]
    x_axis, times = linear_axis(points[-1][0])
    x_axis = Axis(0, points[-1][0] or 1.0)
    y_axis, values = linear_axis(max(value for _, value in points))
    return Chart(
        description=f"{title} over the time of training, from {points[0][1]:.3g} to {points[-1][1]:.3g}.",
        x_title="minutes of training" if in_minutes else "hours of training",
        y_title=title,
        x_ticks=x_axis.ticks([(time, f"{time:g}") for time in times]),
        y_ticks=y_axis.ticks([(value, f"{value:,g}") for value in values]),
        lines=[ChartLine(path_of([(x_axis.place(x), y_axis.place(y)) for x, y in points]), "curve median", name)],
    )


def sparkline(history: LanguageHistory) -> str:
    """Return the path of a small learning curve; empty with fewer than two evaluations."""
    curve = curve_of(history)
    if len(curve) < 2 or not curve[-1][0]:
        return ""
    x_axis, y_axis = Axis(0, curve[-1][0]), Axis(0, max(min(TOP, max(cer for _, cer in curve)), 1e-9))
    return path_of([(x_axis.place(step), y_axis.place(cer)) for step, cer in curve])


def curve_of(history: LanguageHistory) -> list[tuple[float, float]]:
    """Return steps and CER of a language, thinned evenly."""
    points = [(float(point.step), point.cer) for point in history.curve if math.isfinite(point.cer)]
    if len(points) <= MOST_POINTS:
        return points
    last = len(points) - 1
    return [points[round(place * last / (MOST_POINTS - 1))] for place in range(MOST_POINTS)]


def _end_labels(
    places: dict[str, list[tuple[float, float]]], curves: dict[str, list[tuple[float, float]]], *, style: str = ""
) -> list[Label]:
    heights = spread([curve[-1][1] for curve in places.values()], LABEL_GAP)
    return [
        Label(height, f"{code} {percent(curves[code][-1][1])}", style or f"c{index}", code)
        for index, (code, height) in enumerate(zip(places, heights, strict=True))
    ]


def _quantiles(places: dict[str, list[tuple[float, float]]]) -> tuple[list[tuple[float, float]], ...]:
    """Return the 10 %, 50 % and 90 % curves. A language that has ended counts with its last value."""
    found: tuple[list[tuple[float, float]], ...] = ([], [], [])
    for number in range(GRID + 1):
        x = 100 * number / GRID
        heights = [value_at(curve, x) for curve in places.values()]
        tenths = quantiles(heights, n=10, method="inclusive")
        for curve, place in zip(found, (0, 4, 8), strict=True):
            curve.append((x, tenths[place]))
    return found


def value_at(curve: Sequence[tuple[float, float]], x: float) -> float:
    """Interpolate a curve."""
    for (left, low), (right, high) in pairwise(curve):
        if x <= right:
            part = (x - left) / (right - left) if right > left else 1.0
            return low + max(0.0, part) * (high - low)
    return curve[-1][1]
