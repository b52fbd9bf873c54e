"""The tree of words: every word ends where its labels lead, with the probability of all words below."""

import numpy as np
import pytest

from mms_dist.decoding.word_trie import ROOT, WordTrie
from shards.vocabulary import FIXED, Vocabulary
from tests.slow_ngrams import random_texts

VOCABULARY = Vocabulary("xxx", (*FIXED, *"abcdefghij"))


def follow(trie: WordTrie, labels: list[int]) -> int:
    node = np.array([ROOT])
    for label in labels:
        _, node = trie.cache.pairs(node, label)
    return int(node[0])


def test_words_end_at_their_nodes_and_masses_add_up() -> None:
    words = sorted({word for text in random_texts(300, 2000, seed=5) for word in text.split()})
    everything = ["<unk>", "<s>", "</s>", *words, "foreign-ß"]
    prob = np.random.default_rng(0).dirichlet(np.ones(len(everything)))
    trie = WordTrie(everything, np.log(prob), VOCABULARY)
    assert trie.known == pytest.approx(prob[3:-1].sum() / prob[3:].sum())
    for number, word in enumerate(words, start=3):
        labels = VOCABULARY.encode(word)
        node = follow(trie, labels)
        assert trie.word_N[node] == number
        for size in range(1, len(word) + 1):
            mass = sum(prob[3 + n] for n, other in enumerate(words) if other.startswith(word[:size]))
            assert np.exp(trie.log_mass_N[follow(trie, labels[:size])]) == pytest.approx(mass)
    assert follow(trie, VOCABULARY.encode("aaaaaaaaaa")) == trie.outside
    assert trie.log_mass_N[trie.outside] == -np.inf
    assert (trie.word_N >= 0).sum() == len(words)


def test_labels_of_several_characters_are_used_where_they_fit() -> None:
    vocabulary = Vocabulary("xxx", (*FIXED, "c", "h", "ch", "ŋg"))
    trie = WordTrie(["<unk>", "<s>", "</s>", "ch", "hc", "ŋgc", "ŋ"], np.log(np.full(7, 1 / 7)), vocabulary)
    assert trie.word_N[follow(trie, [8, 5])] == 5
    assert trie.word_N[follow(trie, [5, 6])] == 3
    assert trie.known == pytest.approx(3 / 4)


def test_a_model_without_words_leads_outside() -> None:
    trie = WordTrie(["<unk>", "<s>", "</s>"], np.zeros(3), VOCABULARY)
    assert follow(trie, [5]) == trie.outside and trie.known == 0
