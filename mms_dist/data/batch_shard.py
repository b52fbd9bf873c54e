"""The share of a language's optimizer batches that one of its owners computes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class BatchShard:
    """Share number `index` of the `count` shares that every batch is cut into; the default is the whole batch."""

    index: int = 0
    count: int = 1

    def take(self, items: np.ndarray) -> np.ndarray:
        """Return this share of a batch. Every item is in exactly one of the shares.

        Batches are sorted by length. Items are dealt to the shares back and forth, longest first, so that shares differ
        in audio by less than the longest utterance, and a share with one item fewer lacks a short one.
        """
        if self.count == 1:
            return items
        turn, place = np.divmod(np.arange(len(items))[::-1], self.count)
        return items[np.where(turn % 2 == 0, place, self.count - 1 - place) == self.index]


WHOLE = BatchShard()
"""The share of a language's only owner."""
