"""What a beam search asks of a language model: how likely each label is after each hypothesis.

Legend: B utterances, K hypotheses of each, C labels under consideration, V the vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shards.vocabulary import SPACE, Vocabulary

State = tuple[NDArray[Any], ...]
"""What a language model remembers of each hypothesis; every array is `[B, K]`."""

FIRST_LABEL = SPACE
"""Labels are the vocabulary's tokens from the space on; what stands before is the blank, or counts as the blank."""

_FIRST_ROWS = 1 << 10


class Fusion(Protocol):
    """A language model fused into the search (shallow fusion): `alpha * log p(text) + beta * number of units`.

    A text's units are the model's: its words, or its characters and spaces. A space that ends a text is not part of it.
    """

    alpha: float
    beta: float

    def start(self, rows: int) -> State:
        """Return the state of empty hypotheses, `[rows, 1]`."""
        ...

    def extend(self, state: State, label_BC: NDArray[np.integer]) -> NDArray[np.floating]:
        """Return by how much each label raises the weighted score of each hypothesis, `[B, K, C]`."""
        ...

    def advance(self, state: State, label_BK: NDArray[np.integer]) -> State:
        """Return the state after one more label; -1 stands for none."""
        ...

    def finish(self, state: State) -> NDArray[np.floating]:
        """Return by how much the end of the text raises the weighted scores, `[B, K]`."""
        ...

    def score(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return log p of whole texts in nats, not weighted, and their numbers of units."""
        ...

    def weighted(self, alpha: float, beta: float) -> "Fusion":
        """Return the same model with other weights; what was computed once is shared."""
        ...


class RowCache:
    """Scores and successors of every label, computed for a state when it is first met.

    Args:
        states: number of states.
        columns: number of labels.
        compute: returns for states `[N]` the scores and the next states, both `[N, columns]`.
        most_rows: states remembered; when there are more, all are forgotten.
    """

    def __init__(
        self,
        states: int,
        columns: int,
        compute: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]],
        *,
        most_rows: int = 1 << 18,
    ) -> None:
        self._compute = compute
        self._most_rows = most_rows
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
            self._row_of[:] = 0
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


def spelled(vocabulary: Vocabulary, ids: Mapping[str, int], space: int, unknown: int) -> NDArray[np.int32]:
    """Return the characters of each label as a character model's ids, `[V, longest label]`; -1 fills.

    Args:
        ids: of the model's characters.
        space: id of the space.
        unknown: id for characters that the model lacks.
    """
    labels = [[ids.get(character, unknown) for character in token] for token in vocabulary.tokens]
    for number in range(FIRST_LABEL):
        labels[number] = []
    labels[SPACE] = [space]
    table = np.full((len(labels), max(map(len, labels))), -1, np.int32)
    for number, characters in enumerate(labels):
        table[number, : len(characters)] = characters
    return table
