"""Sentences that are nearly the same are found, as comparing all pairs finds them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shards.near_texts import NEAR, earlier_texts, near_texts


def shingles(text):
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def similarity(one, other):
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


@settings(max_examples=60, deadline=None)
@given(
    held_out=st.lists(st.text("ab c", min_size=1, max_size=24), max_size=12),
    train=st.lists(st.text("ab c", min_size=1, max_size=24), max_size=12),
    least=st.sampled_from([0.3, NEAR, 0.9, 1.0]),
)
def test_the_search_finds_what_comparing_all_pairs_finds(held_out, train, least):
    found = {pair.held_out: pair for pair in near_texts(held_out, train, least=least)}
    for text in held_out:
        near = [other for other in train if other != text and similarity(text, other) >= least]
        assert (text in found) == bool(near)
        if near:
            assert found[text].train in near and found[text].similarity == similarity(text, found[text].train)


def test_a_sentence_with_one_word_of_ten_replaced_is_nearly_the_same():
    train = ["the old man went down to the river every single morning"]
    assert [pair.held_out for pair in near_texts(["the old man went down to the lake every single morning"], train)]
    assert not list(near_texts(["a young woman went up to the hill every other evening"], train))
    assert not list(near_texts(train, train)), "an equal one is another matter"


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text("ab c", min_size=1, max_size=24), max_size=14),
    least=st.sampled_from([0.3, NEAR, 0.8, 1.0]),
)
def test_earlier_texts_are_those_that_comparing_all_pairs_finds(texts, least):
    found = earlier_texts(texts, least).tolist()
    assert len(found) == len(texts)
    for row, other in enumerate(found):
        near = [place for place in range(row) if similarity(texts[place], texts[row]) >= least]
        assert other in near if near else other == -1


def test_the_first_of_equal_texts_is_the_one_that_stays():
    assert earlier_texts(["yes", "no", "yes", "yes", ""], 0.8).tolist() == [-1, -1, 0, 0, -1]
    assert earlier_texts([], 0.8).tolist() == []
