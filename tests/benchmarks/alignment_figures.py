"""What `tests.benchmarks.alignment` finds for a language, as rows of a table and as a drawing."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE_HEAD = (
    "| language | CER | boundaries | within 200 ms | median error | in place, 20 % deleted | 20 % doubled "
    "| never said, placed | exchanged: precision | recall |\n|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Figures:
    """What was found for a language: shares between 0 and 1, and the median error of a boundary in seconds.

    `exchanged` has a row for each draw: transcripts found, wrongly suspected, and missed.
    """

    name: str
    cer: float
    boundaries: int
    within: float
    error: float
    deleted: float
    doubled: float
    never_said: float
    exchanged: NDArray[np.int64]

    def row(self) -> str:
        """Return the row of the table."""
        cells = [self.name, f"{100 * self.cer:.1f} %", str(self.boundaries), f"{100 * self.within:.1f} %"]
        cells += [f"{1000 * self.error:.0f} ms", f"{100 * self.deleted:.1f} %", f"{100 * self.doubled:.1f} %"]
        cells.append(f"{100 * self.never_said:.1f} %")
        if len(self.exchanged):
            cells += [f"{share:.3f}" for share in precision_and_recall(self.exchanged.sum(axis=0))]
        return f"| {' | '.join(cells)} |"


def precision_and_recall(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return both for transcripts found, wrongly suspected, and missed."""
    found, wrong, missed = counts.tolist()
    return found / max(found + wrong, 1), found / max(found + missed, 1)


def interval(values: Sequence[float]) -> str:
    """Return mean and the 95 % interval of the mean, over draws."""
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {half:.3f}"


def draw(points: Sequence[Figures], path: Path) -> None:
    """Draw what was found against the error rate of each language and run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True)
    titles = ("boundaries within 200 ms", "words in place, text damaged", "10 % of transcripts exchanged")
    series = (
        (("", "within"),),
        (("deleted", "deleted"), ("doubled", "doubled"), ("never said, but placed", "never_said")),
        (("precision", "precision"), ("recall", "recall")),
    )
    for panel, title, lines in zip(panels, titles, series, strict=True):
        for (label, name), marker in zip(lines, "ox+", strict=False):
            values = [
                precision_and_recall(each.exchanged.sum(axis=0))[name == "recall"]
                if name in ("precision", "recall")
                else getattr(each, name)
                for each in points
            ]
            panel.plot(
                [100 * each.cer for each in points],
                [100 * value for value in values],
                marker,
                color={"o": "#1a73e8", "x": "#d93025", "+": "#5f6368"}[marker],
                label=label,
            )
        panel.set(title=title, xlabel="CER of dev and test, greedy, %", ylabel="%", ylim=(0, 103))
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
        if len(lines) > 1:
            panel.legend(frameon=False)
    figure.savefig(path, dpi=110)
