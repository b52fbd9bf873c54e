"""The packer of constant passes: every item once, within the size, in few passes; a language's strips are its own."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.constant_packer import Strips, pack_constant
from mms_dist.model.packed_tables import BLOCK
from shards.schema import frames_of
from tests.benchmarks.padding import planned_rounds
from tests.packed import packed_size

ITEMS = st.lists(st.tuples(st.integers(1, 900), st.sampled_from("abc")), max_size=60)


def strips_of(passes: list[Strips], items: list[tuple[int, str]], language: str) -> list[list[int]]:
    """Lengths in the strips of one language, in the order in which they are computed."""
    strips = [strip for each in passes for strip in each if items[strip[0]][1] == language]
    return [[items[item][0] for item in strip] for strip in strips]


@settings(max_examples=150, deadline=None)
@given(items=ITEMS, blocks=st.integers(1, 24))
def test_every_item_is_in_one_strip_of_its_language_that_fits_its_pass(
    items: list[tuple[int, str]], blocks: int
) -> None:
    frames, languages = [length for length, _ in items], [language for _, language in items]
    passes = pack_constant(frames, languages, size=blocks * BLOCK, block=BLOCK)
    assert sorted(item for strips in passes for strip in strips for item in strip) == list(range(len(items)))
    for strips in passes:
        members = [item for strip in strips for item in strip]
        numbers = np.repeat(np.arange(len(strips)), [len(strip) for strip in strips])
        assert len(members) == 1 or packed_size(np.array(frames)[members], numbers) <= blocks * BLOCK
        assert all(len({languages[item] for item in strip}) == 1 for strip in strips)


@settings(max_examples=100, deadline=None)
@given(items=ITEMS, blocks=st.integers(1, 24))
def test_the_strips_of_a_language_are_the_same_in_any_round(items: list[tuple[int, str]], blocks: int) -> None:
    passes = pack_constant(*zip(*items, strict=True), size=blocks * BLOCK, block=BLOCK) if items else []
    for language in "abc":
        own = [item for item in items if item[1] == language]
        alone = pack_constant(*zip(*own, strict=True), size=blocks * BLOCK, block=BLOCK) if own else []
        assert strips_of(passes, items, language) == strips_of(alone, own, language)


def test_64_languages_take_at_most_two_passes_above_the_minimum() -> None:
    for seconds, more in ((320, 2), (160, 3)):
        size = seconds * 50 // BLOCK * BLOCK
        for samples in planned_rounds(64, rounds=2):
            frames = frames_of(samples).tolist()
            languages = (np.cumsum(samples) // (160 * 16_000)).tolist()
            passes = pack_constant(frames, languages, size=size, block=BLOCK)
            assert len(passes) <= -(-sum(frames) // size) + more
            assert seconds == 160 or len(passes) <= 40
