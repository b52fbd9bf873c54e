"""When each label of a text was said: the most probable path through the frames that gives the text.

Legend: T frames, V labels, L labels of the text, S = 2 L + 1 of them with the blanks between.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shards.vocabulary import BLANK, SPACE


def align(log_prob_TV: NDArray[np.floating], labels: Sequence[int]) -> NDArray[np.int64]:
    """Return each label's first frame and the one after its last, `[L, 2]` (Viterbi on the CTC lattice).

    Around a space, and before and after the text, frames may be blanks or further spaces.

    Raises:
        ValueError: there are too few frames for the labels.
    """
    if not len(labels):
        return np.zeros((0, 2), np.int64)
    label_L = np.asarray(labels, np.int64)
    lattice_S = np.full(2 * len(label_L) + 1, BLANK)
    lattice_S[1::2] = label_L
    emission_TS = log_prob_TV[:, lattice_S].astype(np.float64)
    edge_S = np.zeros(len(lattice_S), bool)
    edge_S[[0, -1]] = True
    edge_S[:-1] |= lattice_S[1:] == SPACE
    edge_S[1:] |= lattice_S[:-1] == SPACE
    edge_S[1::2] = False
    emission_TS[:, edge_S] = np.maximum(emission_TS[:, edge_S], log_prob_TV[:, SPACE, None])
    may_skip_S = np.zeros(len(lattice_S), bool)
    may_skip_S[3::2] = label_L[1:] != label_L[:-1]
    best_S = np.full(len(lattice_S), -np.inf)
    best_S[:2] = emission_TS[0, :2]
    step_TS = np.zeros(emission_TS.shape, np.int8)
    options_3S = np.full((3, len(lattice_S)), -np.inf)
    for frame in range(1, len(emission_TS)):
        options_3S[0] = best_S
        options_3S[1, 1:] = best_S[:-1]
        options_3S[2, 2:] = np.where(may_skip_S[2:], best_S[:-2], -np.inf)
        step_TS[frame] = options_3S.argmax(axis=0)
        best_S = options_3S.max(axis=0) + emission_TS[frame]
    place = len(lattice_S) - 1 - int(best_S[-2] > best_S[-1])
    if best_S[place] == -np.inf:
        raise ValueError(f"{len(label_L)} labels need more than {len(emission_TS)} frames")
    path_T = np.zeros(len(emission_TS), np.int64)
    for frame in range(len(emission_TS) - 1, -1, -1):
        path_T[frame] = place
        place -= step_TS[frame, place]
    wanted_L = np.arange(len(label_L)) * 2 + 1
    return np.stack([np.searchsorted(path_T, wanted_L), np.searchsorted(path_T, wanted_L, "right")], axis=1)
