"""What a beam search asks of a language model: how likely each label is after each hypothesis.

Legend: B utterances, K hypotheses of each, C labels under consideration.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shards.vocabulary import SPACE

State = tuple[NDArray[Any], ...]
"""What a language model remembers of each hypothesis; every array is `[B, K]`."""

FIRST_LABEL = SPACE
"""Labels are the vocabulary's tokens from the space on; what stands before is the blank, or counts as the blank."""


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
