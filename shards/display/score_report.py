"""Print how the scores of a language's transcripts are spread, and the worst ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from shards.display.terminal import say
from shards.wording import counted

_BINS, _BAR = 12, 40


class WorstTranscript(NamedTuple):
    """A line of the list: the utterance's score, key and split, its text, and what the model hears."""

    score: float
    key: str
    split: str
    text: str
    heard: str


def histogram(scores: NDArray[np.float32]) -> tuple[list[float], list[int]]:
    """Return the edges of bins, and the number of scores in each. The lowest one takes all scores below."""
    low, high = np.percentile(scores, 1), scores.max()
    edges = np.linspace(min(low, high - 0.1), high, _BINS + 1)
    counts, _ = np.histogram(np.maximum(scores, edges[0]), edges)
    return edges.round(3).tolist(), counts.tolist()


def print_scores(
    console: Console,
    language: str,
    scores: NDArray[np.float32],
    *,
    suspicious: int,
    thresholds: Mapping[str, float],
    worst: Iterable[WorstTranscript],
) -> None:
    """Print a histogram of the scores, how many are suspicious, and the worst ones.

    Args:
        thresholds: by split, the score below which utterances are suspicious; without those with too few to tell.
    """
    below = ", ".join(f"{threshold:.2f} in {split}" for split, threshold in thresholds.items())
    found = f"{suspicious:,} suspicious, with a score below {below}" if below else "too few to suspect any"
    say(
        console,
        f"{language}: {counted(len(scores), 'utterance')}, median score {np.median(scores):.2f}; {found}",
    )
    edges, counts = histogram(scores)
    for number, count in enumerate(counts):
        start = "  lower" if number == 0 else f"{edges[number]:7.2f}"
        bar = "█" * -(-count * _BAR // max(counts))
        say(console, f"  {start} … {edges[number + 1]:6.2f}  {bar} {count:,}")
    table = Table("score", "split", "utterance", "text", "heard", title=f"Worst of {language}", title_justify="left")
    for each in worst:
        marked = f"{each.score:.2f}" + (" !" if each.score < thresholds.get(each.split, -np.inf) else "")
        table.add_row(marked, each.split, each.key, each.text, each.heard)
    console.print(table)
