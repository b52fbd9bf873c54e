"""Pruning by entropy: what it drops, and what that costs."""

import numpy as np
import pytest

from mms_dist.language_model.entropy_pruning import prune_by_entropy
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.ngram_model import NGramModel, OrderTable
from mms_dist.language_model.scoring import perplexity
from tests.slow_ngrams import random_texts

TEXTS = random_texts(300, 60, seed=2)


def test_a_higher_threshold_drops_more_and_costs_more() -> None:
    full = train(TEXTS, 4)
    models = [full, *(train(TEXTS, 4, entropy=entropy) for entropy in (1e-5, 1e-4, 1e-3, 1e-2))]
    sizes = [sum(model.sizes) for model in models]
    perplexities = [perplexity(model, TEXTS).perplexity for model in models]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 2
    assert perplexities == sorted(perplexities)
    assert all(model.sizes[0] == full.sizes[0] for model in models)


def test_nothing_is_dropped_at_a_threshold_that_nothing_meets() -> None:
    full = train(TEXTS, 3)
    pruned = prune_by_entropy(full, -1.0)
    assert np.array_equal(pruned.key, full.key)
    assert np.allclose(pruned.backoff, full.backoff, atol=1e-4)


def test_the_rise_is_the_divergence_from_the_model_without_it() -> None:
    """Of a bigram model, find the bigrams dropped by the sum over all words of p log(p/p'), computed directly."""
    full = train(TEXTS, 2)
    words = len(full.words)
    history_prob = np.exp(full.log_prob[1 : words + 1].astype(np.float64))
    bigrams = full.orders()[1]
    rises = []
    for dropped in range(0, len(bigrams.word), 9):
        without = _without(full, dropped)
        context = bigrams.prefix[dropped]
        everything = np.delete(np.arange(words), 1)
        old, _ = full.advance(np.full(words - 1, 1 + context), everything)
        new, _ = without.advance(np.full(words - 1, 1 + context), everything)
        rises.append((dropped, np.expm1(history_prob[context] * float((np.exp(old) * (old - new)).sum()))))
    threshold = float(np.median([rise for _, rise in rises]))
    pruned = prune_by_entropy(full, threshold, history_probs=[history_prob, np.zeros(0)])
    kept = set(pruned.key[words + 1 :].tolist())
    for dropped, rise in rises:
        if abs(rise - threshold) > 1e-6 * abs(threshold):
            assert (int(full.key[words + 1 + dropped]) in kept) == (rise > threshold)


def _without(model: NGramModel, dropped: int) -> NGramModel:
    """Drop one bigram and weigh its context anew, so that probabilities still sum to 1."""
    words, bigrams = model.orders()
    keep = np.arange(len(bigrams.word)) != dropped
    context = bigrams.prefix[dropped]
    same = keep & (bigrams.prefix == context)
    left = 1 - np.exp(bigrams.log_prob[same].astype(np.float64)).sum()
    lower_left = 1 - np.exp(words.log_prob[bigrams.word[same]].astype(np.float64)).sum()
    backoff = words.backoff.copy()
    backoff[context] = np.log(left / lower_left)
    rest = OrderTable(bigrams.prefix[keep], bigrams.word[keep], bigrams.log_prob[keep], bigrams.backoff[keep])
    return NGramModel.build("word", model.words, [OrderTable(words.prefix, words.word, words.log_prob, backoff), rest])


def test_pruning_needs_no_counts() -> None:
    full = train(TEXTS, 3)
    pruned = prune_by_entropy(full, 1e-3)
    assert sum(pruned.sizes) < sum(full.sizes)
    assert perplexity(pruned, TEXTS).perplexity < 1.6 * perplexity(full, TEXTS).perplexity


@pytest.mark.parametrize("order", [1, 2])
def test_low_orders_can_be_pruned_away(order: int) -> None:
    assert prune_by_entropy(train(TEXTS, order), np.inf).order == 1
