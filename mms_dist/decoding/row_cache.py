"""What a model says of every label, remembered for the states that the search meets.

Legend: B utterances, K hypotheses of each, C labels under consideration, N states.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 1 << 10


class RowCache:
    """Scores and successors of every label, computed for a state when it is first met.

    Args:
        states: number of states.
        columns: number of labels.
        compute: returns for states `[N]` the scores and the next states, both `[N, columns]`.
        most_bytes: memory for them; when it is full, all are forgotten.
    """

    def __init__(
        self,
        states: int,
        columns: int,
        compute: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]],
        *,
        most_bytes: int = 1 << 27,
    ) -> None:
        self._compute = compute
        self._most_rows = most_bytes // (8 * columns)
        self._row_of = np.zeros(states, np.int32)  # row + 1; 0: not computed
        self._used = 0
        self._score = np.zeros((_FIRST_ROWS, columns), np.float32)
        self._next = np.zeros((_FIRST_ROWS, columns), np.int32)

    def grid(self, state_BK: NDArray[np.integer], label_BC: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the scores of each utterance's labels in each of its states, `[B, K, C]`."""
        row_BK = self._rows(state_BK)
        return self._score[row_BK[:, :, None], label_BC[:, None, :]]

    def pairs(
        self, states: NDArray[np.integer], labels: NDArray[np.integer] | int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return the score of one label in each state, and the next state."""
        rows = self._rows(states)
        return self._score[rows, labels], self._next[rows, labels]

    def _rows(self, states: NDArray[np.integer]) -> NDArray[np.int32]:
        rows = self._row_of[states]
        if rows.all():
            return rows - 1
        new = np.unique(states[rows == 0])
        if self._used + len(new) > self._most_rows:
            self._row_of = np.zeros_like(self._row_of)
            self._used = 0
            new = np.unique(states)
        stop = self._used + len(new)
        if stop > len(self._score):
            more = max(stop, 2 * len(self._score)) - len(self._score)
            self._score = np.concatenate([self._score, np.zeros((more, self._score.shape[1]), np.float32)])
            self._next = np.concatenate([self._next, np.zeros((more, self._next.shape[1]), np.int32)])
        self._score[self._used : stop], self._next[self._used : stop] = self._compute(new)
        self._row_of[new] = np.arange(self._used + 1, stop + 1)
        self._used = stop
        return self._row_of[states] - 1
