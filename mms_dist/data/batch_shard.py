"""The part of a language's optimizer batches that one of its owners computes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class BatchShard:
    """Number `index` of `of` parts that every batch is dealt into; the default is all of it."""

    index: int = 0
    of: int = 1

    def take(self, items: np.ndarray) -> np.ndarray:
        """This part of a batch; all parts together are the batch, each of its items once.

        Batches come sorted by length. They are dealt back and forth from the longest on, so that parts differ in
        audio by less than the longest utterance, and those that get one less get no long one less.
        """
        if self.of == 1:
            return items
        turn, place = np.divmod(np.arange(len(items))[::-1], self.of)
        return items[np.where(turn % 2 == 0, place, self.of - 1 - place) == self.index]


WHOLE = BatchShard()
"""Of a language with one owner."""
