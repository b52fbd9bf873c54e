"""The packer of constant passes: every item once, within the size, in few passes, languages together."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.constant_packer import pack_constant
from mms_dist.model.packed_tables import BLOCK, packed_size
from shards.schema import frames_of
from tests.benchmarks.padding import planned_rounds

ITEMS = st.lists(st.tuples(st.integers(1, 900), st.sampled_from("abc")), max_size=60)


@settings(max_examples=150, deadline=None)
@given(items=ITEMS, blocks=st.integers(1, 12))
def test_every_item_is_in_one_pass_that_it_fits_into_beside_its_language(
    items: list[tuple[int, str]], blocks: int
) -> None:
    frames, languages = [length for length, _ in items], [language for _, language in items]
    size = blocks * BLOCK
    groups = pack_constant(frames, languages, size=size, block=BLOCK)
    assert sorted(item for group in groups for item in group.tolist()) == list(range(len(items)))
    for group in groups:
        own, codes = np.array([frames[item] for item in group]), [languages[item] for item in group]
        owners = np.array([ord(code) for code in codes])
        assert len(group) == 1 or packed_size(own, owners) <= size
        assert len([code for code, _ in itertools.groupby(codes)]) == len(set(codes))
    longest = [max(frames[item] for item in group) for group in groups]
    assert longest == sorted(longest, reverse=True)


def test_a_round_of_64_languages_takes_at_most_two_passes_more_than_it_must() -> None:
    size = 320 * 50 // BLOCK * BLOCK
    for samples in planned_rounds(64, rounds=2):
        frames = frames_of(samples).tolist()
        languages = (np.cumsum(samples) // (160 * 16_000)).tolist()
        groups = pack_constant(frames, languages, size=size, block=BLOCK)
        assert len(groups) <= -(-sum(frames) // size) + 2 <= 40
        assert max(len({languages[item] for item in group}) for group in groups) <= 4
