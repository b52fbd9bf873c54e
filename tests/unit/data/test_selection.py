"""Which utterances are trained on: both sides of every bound."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from mms_dist.data.selection import trainable


class Table(SimpleNamespace):
    """The columns of a sample table that a selection looks at."""

    def select(self, keep: np.ndarray) -> Any:
        return np.flatnonzero(keep).tolist()


def table(*rows: tuple[int, int, int, float]) -> Any:
    """Rows of labels, frames needed for them, frames there, and seconds."""
    labels, needed, frames, seconds = map(np.array, zip(*rows, strict=True))
    return Table(label_length=labels, required_frames=needed, frames=frames, durations=seconds)


def test_trainable_utterances_have_labels_that_fit_and_are_not_too_long() -> None:
    bounds = table((1, 1, 1, 0.5), (0, 0, 9, 0.5), (3, 5, 5, 9.9), (3, 5, 4, 9.9), (3, 5, 6, 10.0), (3, 5, 6, 10.0001))
    assert trainable(bounds, max_seconds=None) == [0, 2, 4, 5]
    assert trainable(bounds, max_seconds=10.0) == [0, 2, 4]


def test_a_table_of_which_all_can_be_trained_on_is_not_copied() -> None:
    whole = table((3, 5, 5, 1.0), (1, 1, 9, 2.0))
    assert trainable(whole, max_seconds=2.0) is whole
