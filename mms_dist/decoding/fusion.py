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

_MOST_ROWS = 1 << 18
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
    """Scores and successors over all labels, computed for a state when it is first met.

    Args:
        states: number of states.
        compute: returns for states `[N]` the scores and the next states, both `[N, columns]`.

    Attributes:
        score: float32 `[rows, columns]`.
        next: int32 `[rows, columns]`.
    """

    def __init__(
        self, states: int, columns: int, compute: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
    ) -> None:
        self._compute = compute
        self._row_of = np.zeros(states, np.int32)  # row + 1; 0: not computed
        self._used = 0
        self.score = np.zeros((_FIRST_ROWS, columns), np.float32)
        self.next = np.zeros((_FIRST_ROWS, columns), np.int32)

    def rows(self, states: NDArray[np.integer]) -> NDArray[np.int32]:
        """Return the rows of `states`, in their shape. Rows that earlier calls returned may be gone."""
        row = self._row_of[states]
        if row.all():
            return row - 1
        new = np.unique(states[row == 0])
        if self._used + len(new) > _MOST_ROWS:
            self._row_of[:] = 0
            self._used = 0
            new = np.unique(states)
        stop = self._used + len(new)
        if stop > len(self.score):
            more = max(stop, 2 * len(self.score)) - len(self.score)
            self.score = np.concatenate([self.score, np.zeros((more, self.score.shape[1]), np.float32)])
            self.next = np.concatenate([self.next, np.zeros((more, self.next.shape[1]), np.int32)])
        self.score[self._used : stop], self.next[self._used : stop] = self._compute(new)
        self._row_of[new] = np.arange(self._used + 1, stop + 1)
        self._used = stop
        row = self._row_of[states]
        return row - 1


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
