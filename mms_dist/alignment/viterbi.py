"""When each label of a text was said: the most probable path through the frames that gives exactly the text.

Legend: T frames, V labels of the vocabulary, L labels of the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from mms_dist.alignment.lattice import Lattice
from mms_dist.alignment.search import best_path


@dataclass(frozen=True, slots=True)
class Alignment:
    """The best path of a text.

    Attributes:
        frames: each label's first frame and the one after its last, int64 `[L, 2]`.
        log_prob: mean log-probability of each label over its frames, `[L]`.
        score: log-probability of the whole path.
    """

    frames: NDArray[np.int64]
    log_prob: NDArray[np.float64]
    score: float


def align(log_prob_TV: NDArray[np.floating], labels: Sequence[int]) -> Alignment:
    """Find the best path that gives the labels.

    Around a space, and before and after the text, frames may be blanks or further spaces.

    Args:
        labels: ids of the text, without blanks.

    Raises:
        ValueError: there are too few frames for the labels.
    """
    frames, label_count = len(log_prob_TV), len(labels)
    lattice = Lattice.exact(np.asarray(labels, np.int64))
    path_T = np.zeros(frames, np.int64)

    def take(first: int, path_F: NDArray[np.int64]) -> None:
        path_T[first : first + len(path_F)] = path_F

    block = max(isqrt(frames), 1)
    score = best_path(lattice, lambda first, stop: log_prob_TV[first:stop], frames, take, block=block)
    if score == -np.inf:
        raise ValueError(f"{label_count} labels need more than {frames} frames")
    wanted_L = np.arange(label_count) * 2 + 1
    frames_L2 = np.stack([np.searchsorted(path_T, wanted_L), np.searchsorted(path_T, wanted_L, "right")], axis=1)
    log_prob_L = np.array(
        [
            log_prob_TV[start:stop, label].astype(np.float64).mean()
            for label, (start, stop) in zip(labels, frames_L2.tolist(), strict=True)
        ]
    )
    return Alignment(frames_L2, log_prob_L, score)
