"""A batch dealt among the owners of its language: all of it, once, and as even as its utterances allow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.batch_shard import WHOLE, BatchShard


def parts(items: np.ndarray, owners: int) -> list[np.ndarray]:
    return [BatchShard(index, owners).take(items) for index in range(owners)]


@settings(max_examples=200, deadline=None)
@given(samples=st.lists(st.integers(400, 500_000), min_size=1, max_size=60), owners=st.integers(1, 9))
def test_shards_make_up_the_batch_and_are_even_to_one_utterance(samples: list[int], owners: int) -> None:
    samples_N = np.sort(np.array(samples))  # as batches come
    shares = parts(np.arange(len(samples)), owners)
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(samples)))
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    audio = [int(samples_N[share].sum()) for share in shares]
    assert max(audio) - min(audio) <= samples_N[-1]


@pytest.mark.parametrize(
    ("utterances", "owners", "dealt"),
    [
        (8, 2, [[0, 3, 4, 7], [1, 2, 5, 6]]),
        (7, 2, [[2, 3, 6], [0, 1, 4, 5]]),
        (9, 4, [[0, 1, 8], [2, 7], [3, 6], [4, 5]]),
        (2, 4, [[1], [0], [], []]),
    ],
)
def test_a_batch_is_dealt_back_and_forth_from_the_longest_on(
    utterances: int, owners: int, dealt: list[list[int]]
) -> None:
    assert [share.tolist() for share in parts(np.arange(utterances), owners)] == dealt


def test_shares_of_like_utterances_are_alike_however_many_owners() -> None:
    samples_N = np.linspace(90_000, 110_000, 64)
    for owners in (2, 4, 8, 16):
        audio = [samples_N[share].sum() for share in parts(np.arange(64), owners)]
        assert max(audio) / min(audio) < 1.01


def test_a_share_keeps_the_order_of_the_batch() -> None:
    items = np.array([30, 10, 20, 50, 40])
    for share in parts(items, 2):
        places = [items.tolist().index(item) for item in share]
        assert places == sorted(places)


def test_a_language_with_one_owner_takes_its_batch_as_it_is() -> None:
    items = np.array([4, 2, 9])
    assert WHOLE.take(items) is items
