"""The packer: every item once, within capacity, and no grouping is better."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.packer import pack, padding_fraction

LENGTHS = st.lists(st.integers(1, 400), max_size=80)


def long_tailed_round(languages: int, *, seconds: float, seed: int) -> list[int]:
    """Lengths in samples of the utterances of a round, log-normal with median 4 s, sigma 0.7, 1 to 30 s."""
    generator = np.random.default_rng(seed)
    lengths: list[int] = []
    for _ in range(languages):
        total = 0.0
        while total < seconds:
            duration = float(np.clip(generator.lognormal(np.log(4), 0.7), 1, 30))
            lengths.append(round(duration * 16_000))
            total += duration
    return lengths


def cost(groups: list[np.ndarray], lengths: list[int], forward_cost: int) -> int:
    return sum(len(group) * max(lengths[item] for item in group) + forward_cost for group in groups)


@settings(max_examples=200, deadline=None)
@given(lengths=LENGTHS, capacity=st.integers(1, 1000), forward_cost=st.integers(0, 500))
def test_every_item_is_in_one_group_and_groups_fit(lengths: list[int], capacity: int, forward_cost: int) -> None:
    groups = pack(lengths, capacity=capacity, forward_cost=forward_cost)
    assert sorted(item for group in groups for item in group) == list(range(len(lengths)))
    for group in groups:
        assert group.tolist() == sorted(group)  # keeps utterances of a language together
        assert len(group) == 1 or len(group) * max(lengths[item] for item in group) <= capacity


def all_partitions(items: list[int]) -> list[list[list[int]]]:
    if not items:
        return [[]]
    first, rest = items[0], items[1:]
    partitions = []
    for size in range(len(rest) + 1):
        for others in itertools.combinations(rest, size):
            remaining = [item for item in rest if item not in others]
            partitions += [[[first, *others], *partition] for partition in all_partitions(remaining)]
    return partitions


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6), forward_cost=st.integers(0, 30))
def test_no_grouping_at_all_is_cheaper(lengths: list[int], forward_cost: int) -> None:
    capacity = 60
    cheapest = min(
        cost([np.array(group) for group in partition], lengths, forward_cost)
        for partition in all_partitions(list(range(len(lengths))))
        if all(len(group) * max(lengths[item] for item in group) <= capacity for group in partition)
    )
    assert cost(pack(lengths, capacity=capacity, forward_cost=forward_cost), lengths, forward_cost) == cheapest


def test_an_item_longer_than_the_capacity_goes_alone() -> None:
    assert [group.tolist() for group in pack([5, 200, 5], capacity=100)] == [[1], [0, 2]]


def test_equal_lengths_keep_their_order() -> None:
    assert [group.tolist() for group in pack([10] * 6, capacity=30)] == [[3, 4, 5], [0, 1, 2]]


def test_the_group_with_the_longest_items_comes_first() -> None:
    lengths = long_tailed_round(4, seconds=60, seed=0)
    longest = [max(lengths[item] for item in group) for group in pack(lengths, capacity=60 * 16_000)]
    assert longest == sorted(longest, reverse=True)


def test_nothing_to_pack_is_no_group() -> None:
    assert pack([], capacity=10) == []
    assert padding_fraction([], []) == 0.0


@pytest.mark.parametrize(("lengths", "capacity"), [([0, 3], 10), ([-1], 10), ([3], 0)])
def test_lengths_and_capacity_must_be_positive(lengths: list[int], capacity: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        pack(lengths, capacity=capacity)


@pytest.mark.parametrize("languages", [8, 64])
def test_padding_of_a_long_tailed_round_is_at_most_three_per_cent(languages: int) -> None:
    fractions = []
    for seed in range(5):
        lengths = long_tailed_round(languages, seconds=160, seed=seed)
        fractions.append(padding_fraction(pack(lengths, capacity=160 * 16_000), lengths))
    assert np.median(fractions) <= 0.03


def test_the_padding_fraction_is_that_of_the_padded_tensors() -> None:
    assert padding_fraction([np.array([0, 1]), np.array([2])], [10, 5, 8]) == pytest.approx(5 / 28)


def test_of_equally_good_groups_the_largest_is_taken() -> None:
    assert [group.tolist() for group in pack([5, 5, 5, 5], capacity=20, forward_cost=0)] == [[0, 1, 2, 3]]
    assert [group.tolist() for group in pack([5, 5, 5, 5], capacity=15, forward_cost=0)] == [[1, 2, 3], [0]]


@pytest.mark.parametrize(
    ("seconds", "groups"),
    [
        ([1.0, 1.9], [[0, 1]]),  # 0.9 s of padding are cheaper than a pass
        ([1.0, 2.1], [[1], [0]]),
        ([4.0, 1.0, 3.5, 1.2, 0.8, 3.9, 7.5], [[6], [0, 2, 5], [1, 3, 4]]),
        ([9.0, 9.0, 9.0], [[1, 2], [0]]),
    ],
)
def test_forward_passes_stay_as_they_are(seconds: list[float], groups: list[list[int]]) -> None:
    """Who shares a pass decides the last bits of a gradient: a run that goes on must cut its rounds as it did."""
    lengths = [round(16_000 * length) for length in seconds]
    assert [group.tolist() for group in pack(lengths, capacity=20 * 16_000)] == groups
