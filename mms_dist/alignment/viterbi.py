"""When each label of a text was said: the most probable path through the frames that gives the text.

Viterbi on the CTC lattice, exact. The states of some frames are kept, and the steps between them are computed a second
time on the way back. So the memory grows with the square root of the frames, and not with frames times labels.

Legend: T frames, V labels, L labels of the text, S = 2 L + 1 of them with the blanks between, F frames of a block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from shards.vocabulary import BLANK, SPACE


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
    lattice = _Lattice(log_prob_TV, np.asarray(labels, np.int64))
    frames, label_count = len(log_prob_TV), len(labels)
    block = max(isqrt(frames), 1)
    best_S = lattice.start()
    kept = []
    for frame in range(frames):
        if frame % block == 0:
            kept.append(best_S)
        best_S, _ = lattice.advance(best_S, frame)
    ends = best_S[-2:] if label_count else best_S[-1:]
    place = len(best_S) - len(ends) + int(ends[::-1].argmax() == 0) * (len(ends) - 1)
    score = float(best_S[place])
    if score == -np.inf:
        raise ValueError(f"{label_count} labels need more than {frames} frames")
    path_T = np.zeros(frames, np.int64)
    for number in range(len(kept) - 1, -1, -1):
        first = number * block
        best_S = kept[number]
        steps = []
        for frame in range(first, min(first + block, frames)):
            best_S, step_S = lattice.advance(best_S, frame)
            steps.append(step_S)
        for frame in range(first + len(steps) - 1, first - 1, -1):
            path_T[frame] = place
            place -= int(steps[frame - first][place])
    wanted_L = np.arange(label_count) * 2 + 1
    frames_L2 = np.stack([np.searchsorted(path_T, wanted_L), np.searchsorted(path_T, wanted_L, "right")], axis=1)
    log_prob_L = np.array(
        [
            log_prob_TV[start:stop, label].astype(np.float64).mean()
            for label, (start, stop) in zip(labels, frames_L2.tolist(), strict=True)
        ]
    )
    return Alignment(frames_L2, log_prob_L, score)


class _Lattice:
    """The text with a blank before, between and after its labels."""

    def __init__(self, log_prob_TV: NDArray[np.floating], label_L: NDArray[np.int64]) -> None:
        self._log_prob_TV = log_prob_TV
        self._label_S = np.full(2 * len(label_L) + 1, BLANK)
        self._label_S[1::2] = label_L
        beside_space_S = np.zeros(len(self._label_S), bool)
        beside_space_S[[0, -1]] = True
        beside_space_S[:-1] |= self._label_S[1:] == SPACE
        beside_space_S[1:] |= self._label_S[:-1] == SPACE
        beside_space_S[1::2] = False
        self._beside_space = np.flatnonzero(beside_space_S)
        self._may_skip_S = np.zeros(len(self._label_S), bool)
        self._may_skip_S[3::2] = label_L[1:] != label_L[:-1]
        self._options_3S = np.full((3, len(self._label_S)), -np.inf)

    def start(self) -> NDArray[np.float64]:
        """Return the scores before the first frame: those from which the first two states are reached by one step."""
        best_S = np.full(len(self._label_S), -np.inf)
        best_S[0] = 0.0
        return best_S

    def advance(self, best_S: NDArray[np.float64], frame: int) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Return the best score of a path to each state after this frame, and by how many states its last step went."""
        row_V = self._log_prob_TV[frame].astype(np.float64)
        emission_S = row_V[self._label_S]
        emission_S[self._beside_space] = np.maximum(emission_S[self._beside_space], row_V[SPACE])
        options_3S = self._options_3S
        options_3S[0] = best_S
        options_3S[1, 1:] = best_S[:-1]
        options_3S[2, 2:] = np.where(self._may_skip_S[2:], best_S[:-2], -np.inf)
        step_S = options_3S.argmax(axis=0).astype(np.int8)
        return options_3S.max(axis=0) + emission_S, step_S
