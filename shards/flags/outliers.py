"""Which values are far from the others: outliers, in standard deviations that outliers do not change.

The standard deviation is estimated as 1.4826 times the median absolute deviation (Iglewicz & Hoaglin 1993, How to
detect and handle outliers), and is at least a value of each flag: where most values are equal, it would be zero.

Legend: N utterances.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shards.flags.names import FlagOptions
from shards.splits import SPLITS

FEWEST_FOR_OUTLIERS = 20
"""Of fewer utterances, none is an outlier."""
_DEVIATION = 1.4826  # of a normal distribution, in median absolute deviations
_LEAST_DEVIATION = {"unusual_loudness": 1.0, "unusual_speaking_rate": 0.1, "unusual_align_score": 0.05}


def outliers(values_N: NDArray[np.float64], flag: str, options: FlagOptions) -> NDArray[np.bool_]:
    """Return which values are far from the median; none of fewer than `FEWEST_FOR_OUTLIERS`."""
    if len(values_N) < FEWEST_FOR_OUTLIERS:
        return np.zeros(len(values_N), bool)
    median, farthest = _usual(values_N, flag, options)
    return np.asarray(np.abs(values_N - median) > farthest)


def lowest_usual_score(score_N: NDArray[np.floating], options: FlagOptions | None = None) -> float | None:
    """Return the alignment score of a split below which an utterance is an outlier.

    Returns:
        None if there are fewer than `FEWEST_FOR_OUTLIERS`.
    """
    if len(score_N) < FEWEST_FOR_OUTLIERS:
        return None
    median, farthest = _usual(score_N.astype(np.float64), "unusual_align_score", options or FlagOptions())
    return median - farthest


def low_scores(score_N: NDArray[np.float64], split_N: Sequence[str], options: FlagOptions) -> NDArray[np.bool_]:
    """Return which utterances have an alignment score far below the others of their split; none where it is unknown."""
    splits, low_N = np.array(split_N, dtype=object), np.zeros(len(score_N), bool)
    for split in SPLITS:
        rows = np.flatnonzero((splits == split) & ~np.isnan(score_N))
        lowest = lowest_usual_score(score_N[rows], options)
        if lowest is not None:
            low_N[rows] = score_N[rows] < lowest
    return low_N


def _usual(values_N: NDArray[np.float64], flag: str, options: FlagOptions) -> tuple[float, float]:
    """Return the median, and the largest distance from it that is usual."""
    median = float(np.median(values_N))
    deviation = max(_DEVIATION * float(np.median(np.abs(values_N - median))), _LEAST_DEVIATION[flag])
    return median, options.threshold(flag) * deviation
