"""Draw the training audio of shards by speaker and by source, the lengths of utterances, their scores and flags."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shards import storage
from shards.errors import ShardsError
from shards.flags.names import FLAGS
from shards.index.parts import write_atomically
from shards.inspect_shards import UNKNOWN, GroupHours, LanguageFacts
from shards.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LANGUAGES = 40
MOST_SEGMENTS = 50
LARGEST, OTHERS, UNKNOWN_COLOUR = "#1a73e8", ("#aecbfa", "#d2e3fc"), "#e0e0e0"
_BINS = 40


def plot_shards(facts: Sequence[LanguageFacts], path: Path, *, title: str) -> None:
    """Write a PNG, PDF or SVG. Of very many languages, those with the largest share of one speaker are drawn.

    Raises:
        ShardsError: matplotlib is not installed, or `path` cannot be written.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ShardsError(
            "plots need matplotlib, which is not installed", fix="pip install 'mms-dist[plot]'"
        ) from error
    drawn = sorted(facts, key=lambda each: -_largest_share(each))[:MOST_LANGUAGES]
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "font.family": "DejaVu Sans"}
    style |= {"text.parse_math": False}  # a name may have dollar signs in it
    with rc_context(style):
        scores, flags = np.concatenate([each.scores for each in facts]), _flag_counts(facts)
        widths = [3, 3, 2, *([2] if len(scores) else []), *([3] if flags else [])]
        size = 1.6 * sum(widths), max(3.2, 1.8 + 0.28 * max(len(drawn), len(flags)))
        figure = Figure(figsize=size, layout="constrained")
        panels = list(figure.subplots(1, len(widths), width_ratios=widths))
        speakers, sources, lengths = panels[:3]
        more = f", {len(drawn)} of {len(facts):,} languages" if len(drawn) < len(facts) else ""
        figure.suptitle(f"{title}{more}", x=0.01, ha="left", fontsize=13, fontweight="bold")
        figure.supxlabel("dark: the largest speaker or source; grey: unknown", x=0.01, ha="left", fontsize=9)
        _draw_groups(speakers, [(each.language, each.speakers) for each in drawn], "speaker")
        _draw_groups(sources, [(each.language, each.sources or []) for each in drawn], "source")
        lengths.hist(np.concatenate([each.durations for each in facts]), bins=_BINS, color=LARGEST)
        lengths.set(title="lengths of utterances", xlabel="seconds", ylabel="utterances")
        if len(scores):
            panels[3].hist(scores, bins=_BINS, color=LARGEST)
            panels[3].set(title="scores of alignment", xlabel="score", ylabel="utterances")
        if flags:
            _draw_flags(panels[-1], flags, sum(len(each.durations) for each in facts))
        target = io.BytesIO()
        try:
            figure.savefig(target, dpi=150, format=path.suffix.removeprefix(".") or "png")
        except ValueError as error:
            raise ShardsError(f"cannot write the plot {path}: {error}", fix="pass --plot FILE.png") from error
    with storage.local_errors(path):
        write_atomically(path, target.getvalue())


def _draw_groups(axes: Axes, languages: Sequence[tuple[str, Sequence[GroupHours]]], kind: str) -> None:
    """Draw a bar for each language, a segment for each group: the largest first, those of unknown group last."""
    places = np.arange(len(languages))[::-1]
    longest = max(sum(group.seconds for group in groups) for _, groups in languages)
    unit, unit_seconds = ("hours", 3600) if longest >= 3600 else ("minutes", 60)
    for place, (_, groups) in zip(places, languages, strict=True):
        known = [group for group in groups if group.name != UNKNOWN]
        segments = [*known[:MOST_SEGMENTS], *([_joined(known[MOST_SEGMENTS:])] if known[MOST_SEGMENTS:] else [])]
        segments += [group for group in groups if group.name == UNKNOWN]
        left = 0.0
        for number, group in enumerate(segments):
            colour = LARGEST if number == 0 else OTHERS[number % 2]
            width = group.seconds / unit_seconds
            axes.barh(place, width, left=left, color=UNKNOWN_COLOUR if group.name == UNKNOWN else colour, height=0.8)
            left += width
        if known:
            share = known[0].seconds / sum(group.seconds for group in groups)
            text = f" {share:.0%}, {counted(len(known), kind)}"
            axes.annotate(text, (left, place), va="center", fontsize=8, color="#5f6368")
    axes.set_yticks(places, [code for code, _ in languages], fontsize=9 if len(languages) <= 20 else 7)
    axes.set(title=f"training audio by {kind}", xlabel=unit)
    axes.margins(x=0.25)


def _flag_counts(facts: Sequence[LanguageFacts]) -> dict[str, int]:
    """Return the flagged utterances of all languages by flag, in the order of `FLAGS`."""
    found = [(each.flags or {}).get("found", {}) for each in facts]
    counts = {flag: sum(each[flag]["count"] for each in found if flag in each) for flag in FLAGS}
    return {flag: count for flag, count in counts.items() if count}


def _draw_flags(axes: Axes, flags: Mapping[str, int], utterances: int) -> None:
    places = np.arange(len(flags))[::-1]
    axes.barh(places, list(flags.values()), color=LARGEST, height=0.8)
    for place, count in zip(places, flags.values(), strict=True):
        axes.annotate(f" {count:,}, {count / utterances:.1%}", (count, place), va="center", fontsize=8, color="#5f6368")
    axes.set_yticks(places, list(flags), fontsize=8)
    axes.set(title="flagged, all languages", xlabel="utterances")
    axes.margins(x=0.3)


def _joined(groups: Sequence[GroupHours]) -> GroupHours:
    return GroupHours("…", sum(group.seconds for group in groups), sum(group.utterances for group in groups))


def _largest_share(facts: LanguageFacts) -> float:
    known = [group.seconds for group in facts.speakers if group.name != UNKNOWN]
    return max(known, default=0.0) / facts.seconds if facts.seconds else 0.0
