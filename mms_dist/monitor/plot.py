"""Plot learning curves: a colour for each language if there are few, else the median, the spread and the extremes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mms_dist.errors import MmsDistError
from mms_dist.files import replacing
from mms_dist.monitor.history import LanguageHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 12  # up to this many languages, colours and labels keep them apart
MOST_BARS = 40  # up to this many languages, each has its own line in the right panel
NAMED_EXTREMES = 3
TOP = 100.0  # CER %; an untrained head outputs more characters than were spoken, which would flatten the curves
ABOVE = "▲ above 100 %: the head is not trained yet"
GREY, ACCENT, BEFORE = "#9aa0a6", "#1a73e8", "#d0d4d9"


def plot_learning_curves(languages: Sequence[LanguageHistory], path: Path, *, title: str) -> None:
    """Plot dev CER over steps, and CER before and after training, to a PNG, PDF or SVG.

    Raises:
        MmsDistError: matplotlib is not installed, nothing was evaluated yet, or `path` cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MmsDistError(
            "plots need matplotlib, which is not installed", fix="run pip install -e '.[plot]' in the clone"
        ) from error
    scored = sorted(
        (language for language in languages if language.best), key=lambda each: each.best.cer if each.best else 0
    )
    if not scored:
        raise MmsDistError(
            "no language has been evaluated yet, so there is no curve to plot",
            fix="try again after the first evaluation (evaluation.every_steps)",
        )
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "font.family": "DejaVu Sans"}
    style |= {"text.parse_math": False}  # a folder may have dollar signs in its name
    with rc_context(style):
        figure = Figure(figsize=(12, 5.5), layout="constrained")
        curves, gains = figure.subplots(1, 2, width_ratios=[3, 2])
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        _draw_few(curves, scored) if len(scored) <= FEW else _draw_many(curves, scored)
        curves.set(title="dev CER over the language's own steps", xlabel="step", ylabel="CER %")
        curves.set_ylim(0, _top(scored))
        _mark_above(curves, scored)
        curves.grid(axis="y", color="#eceff1", zorder=0)
        _draw_gains(gains, scored) if len(scored) <= MOST_BARS else _draw_distribution(gains, scored)
        fix = "pass --plot FILE.png"
        try:
            with replacing(path, fix=fix, error=MmsDistError) as staged:
                figure.savefig(staged, dpi=150)
        except ValueError as error:  # the file extension is not an image format
            raise MmsDistError(f"cannot write the plot {path}: {error}", fix=fix) from error


def _draw_few(axes: "Axes", languages: Sequence[LanguageHistory]) -> None:
    from matplotlib import colormaps

    colours = colormaps["tab10" if len(languages) <= 10 else "tab20"]
    for index, language in enumerate(languages):
        steps, cer = _curve(language)
        axes.plot(steps, cer, color=colours(index), linewidth=2, marker="o", markersize=3)
    _label_ends(axes, languages, [colours(index) for index in range(len(languages))])


def _mark_above(axes: "Axes", languages: Sequence[LanguageHistory]) -> None:
    """Mark every CER above the upper edge with a triangle, and explain the triangles."""
    steps = [step for language in languages for step, cer in zip(*_curve(language), strict=True) if cer > TOP]
    if steps:
        axes.scatter(steps, [_top(languages)] * len(steps), marker="^", s=30, color=GREY, clip_on=False, zorder=5)
        axes.annotate(ABOVE, (0.02, 0.02), xycoords="axes fraction", va="bottom", fontsize=8, color="#5f6368")


def _draw_many(axes: "Axes", languages: Sequence[LanguageHistory]) -> None:
    alpha = max(0.04, min(0.5, 20 / len(languages)))
    for language in languages:
        axes.plot(*_curve(language), color=GREY, linewidth=0.8, alpha=alpha, zorder=1)
    # A language that has ended counts with its last CER, so the median covers the same languages at every step.
    end = _end(languages)
    grid = np.linspace(0, end, 200)
    cer = np.array([np.interp(grid, *_curve(language)) for language in languages])
    low, median, high = np.nanquantile(cer, [0.1, 0.5, 0.9], axis=0)
    axes.fill_between(grid, low, high, color=ACCENT, alpha=0.15, linewidth=0, label="80 % of languages", zorder=2)
    axes.plot(grid, median, color=ACCENT, linewidth=2.5, label="median", zorder=3)
    axes.legend(frameon=False, loc="upper right")
    named = [*languages[:NAMED_EXTREMES], *languages[-NAMED_EXTREMES:]]
    for language in named:
        axes.plot(*_curve(language), color="#3c4043", linewidth=0.9, zorder=2.5)
    _label_ends(axes, named, ["#3c4043"] * len(named))


def _label_ends(axes: "Axes", languages: Sequence[LanguageHistory], colours: Sequence[Any]) -> None:
    """Label the ends of the curves, and move labels apart that would overlap."""
    end = _end(languages) or 1
    gap = 0.045 * _top(languages)
    last = [_curve(language)[1][-1] for language in languages]
    ends = [min(cer, _top(languages)) for cer in last]
    height = -gap
    for index in sorted(range(len(languages)), key=lambda index: last[index]):
        height = max(ends[index], height + gap)
        text = f"{languages[index].language} {last[index]:.1f}"
        axes.annotate(
            text,
            xy=(_curve(languages[index])[0][-1], ends[index]),
            xytext=(end * 1.03, height),
            color=colours[index],
            va="center",
            fontsize=9,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colours[index], "linewidth": 0.5, "alpha": 0.5},
        )
    axes.set_xlim(0, end * 1.02)


def _draw_gains(axes: "Axes", languages: Sequence[LanguageHistory]) -> None:
    places = np.arange(len(languages))[::-1]
    best = np.array([100 * language.best.cer if language.best else np.nan for language in languages])
    before = np.array([100 * each.initial.cer if each.initial else np.nan for each in languages])
    axes.hlines(places, best, np.minimum(before, TOP), color=BEFORE, linewidth=3, zorder=1)
    inside, above = before <= TOP, before > TOP
    if inside.any():
        axes.scatter(before[inside], places[inside], color=GREY, s=24, label="before training", zorder=2)
    if above.any():
        edge = np.full(above.sum(), TOP)
        axes.scatter(
            edge, places[above], color=GREY, s=30, marker=">", label="before: above 100", zorder=2, clip_on=False
        )
    axes.scatter(best, places, color=ACCENT, s=32, label="best", zorder=3)
    axes.set_yticks(places, [language.language for language in languages], fontsize=9 if len(places) <= 20 else 6)
    axes.set(title="gain of each language", xlabel="dev CER %")
    axes.set_xlim(0, TOP if above.any() else None)
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.1))


def _draw_distribution(axes: "Axes", languages: Sequence[LanguageHistory]) -> None:
    best = [100 * language.best.cer for language in languages if language.best]
    before = [100 * language.initial.cer for language in languages if language.initial]
    bins = np.linspace(0, max([*best, *before, 1.0]), 40).tolist()
    axes.hist(before, bins=bins, color=BEFORE, label="before training")
    axes.hist(best, bins=bins, color=ACCENT, alpha=0.8, label=f"best (median {np.median(best):.1f} %)")
    axes.set(title=f"{len(languages):,} languages", xlabel="dev CER %", ylabel="languages")
    axes.legend(frameon=False)


def _curve(language: LanguageHistory) -> tuple[list[int], list[float]]:
    """Return steps and CER in percent, without points whose CER is nan."""
    points = [point for point in language.curve if point.cer == point.cer]
    return [point.step for point in points], [100 * point.cer for point in points]


def _end(languages: Sequence[LanguageHistory]) -> int:
    return max(_curve(language)[0][-1] for language in languages)


def _top(languages: Sequence[LanguageHistory]) -> float:
    """Return the upper end of the CER axis."""
    highest = max(point.cer for language in languages for point in language.curve if point.cer == point.cer)
    return min(TOP, 105 * highest)
