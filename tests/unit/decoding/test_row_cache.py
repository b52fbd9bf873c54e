"""The cache of rows gives what its function computes, whatever it has to forget."""

import numpy as np
import pytest

from mms_dist.decoding.row_cache import RowCache


def compute(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    columns = np.arange(3)
    return states[:, None] * 10.0 + columns, (states[:, None] + columns) % 5000


@pytest.mark.parametrize("most_bytes", [1000, 72_000])
def test_rows_are_right_before_and_after_growing_and_forgetting(most_bytes: int) -> None:
    cache = RowCache(5000, 3, compute, most_bytes=most_bytes)
    generator = np.random.default_rng(0)
    for _ in range(200):
        states = generator.integers(0, 5000, (4, 8))
        labels = generator.integers(0, 3, (4, 2))
        assert np.array_equal(cache.grid(states, labels), states[:, :, None] * 10 + labels[:, None, :])
        score, after = cache.pairs(states[:, :2], labels)
        assert np.array_equal(score, states[:, :2] * 10 + labels)
        assert np.array_equal(after, (states[:, :2] + labels) % 5000)
