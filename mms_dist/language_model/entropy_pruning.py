"""Drop the n-grams that a model can do without.

Stolcke 1998, "Entropy-based Pruning of Backoff Language Models". The probability of a history is, if known, its share
of the text: after Kneser-Ney smoothing the model's own lower orders misjudge it (Chelba et al. 2010, "Study on
Interaction between Entropy Pruning and Kneser-Ney Smoothing").
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mms_dist.language_model.ngram_model import NGramModel, OrderTable

_LEAST = 1e-12  # of what is left for backing off, so that its logarithm exists


def prune_by_entropy(
    model: NGramModel, threshold: float, *, history_probs: Sequence[NDArray[np.float64]] | None = None
) -> NGramModel:
    """Drop every n-gram whose absence raises the model's perplexity by less than `threshold`, relatively.

    N-grams are judged one by one, from the highest order to the second; the prefixes of those that stay, stay.

    Args:
        history_probs: for each order, the probability of meeting each n-gram; None: what the model itself says.
    """
    tables = model.orders()
    lower_log_probs = [np.zeros(0), *(_backed_off(model, number) for number in range(1, model.order))]
    histories = history_probs or _chained(tables)
    stays = [np.ones(len(table.word), bool) for table in tables]
    needed = np.zeros(len(tables[-1].word), bool)
    for number in range(model.order - 1, 0, -1):
        table = tables[number]
        rise = _perplexity_rise(table, tables[number - 1], lower_log_probs[number], histories[number - 1])
        stays[number] = needed | (rise >= threshold)
        needed = np.zeros(len(tables[number - 1].word), bool)
        needed[table.prefix[stays[number]]] = True
    return _without(model, tables, stays)


def _backed_off(model: NGramModel, number: int) -> NDArray[np.float64]:
    """Return log p(word | history without its first word) for the n-grams of order `number` + 1."""
    first = int(np.cumsum((1, *model.sizes))[number])
    here = np.arange(first, first + model.sizes[number])
    prefix, word = np.divmod(model.key[here], len(model.words))
    return model.advance(model.lower[prefix], word)[0]


def _chained(tables: Sequence[OrderTable]) -> list[NDArray[np.float64]]:
    """Return each n-gram's probability as the product of those of its words."""
    probs: list[NDArray[np.float64]] = []
    for table in tables:
        own = np.exp(table.log_prob.astype(np.float64))
        probs.append(own * probs[-1][table.prefix] if probs else own)
    return probs


def _perplexity_rise(
    table: OrderTable, contexts: OrderTable, lower_log_prob: NDArray[np.float64], history_prob: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return exp(D) - 1 for each n-gram, D being the relative entropy of the model without it (equation 5)."""
    log_prob = table.log_prob.astype(np.float64)
    prob, lower_prob = np.exp(log_prob), np.exp(lower_log_prob)
    left = 1 - np.bincount(table.prefix, prob, minlength=len(contexts.word))
    lower_left = 1 - np.bincount(table.prefix, lower_prob, minlength=len(contexts.word))
    left, lower_left = np.maximum(left, _LEAST), np.maximum(lower_left, _LEAST)
    backoff = contexts.backoff.astype(np.float64)[table.prefix]
    new_backoff = np.log(left[table.prefix] + prob) - np.log(lower_left[table.prefix] + lower_prob)
    change = prob * (lower_log_prob + new_backoff - log_prob) + (new_backoff - backoff) * left[table.prefix]
    return np.expm1(-history_prob[table.prefix] * change)


def _without(model: NGramModel, tables: Sequence[OrderTable], stays: Sequence[NDArray[np.bool_]]) -> NGramModel:
    """Return the model of the n-grams that stay, with new backoff weights from the lowest order up."""
    kept = [_bare(tables[0], tables[0].prefix, stays[0])]
    pruned = NGramModel.build(model.unit, model.words, kept, model.language)
    for number in range(1, model.order):
        prefix = (np.cumsum(stays[number - 1]) - 1)[tables[number].prefix[stays[number]]]
        if not len(prefix):
            break
        table = _bare(tables[number], prefix, stays[number])
        pruned = NGramModel.build(model.unit, model.words, [*kept, table], model.language)
        # The weight of a context depends on lower orders only, which are complete by now.
        context = pruned.key[-len(prefix) :] // len(model.words)
        lower_log_prob, _ = pruned.advance(pruned.lower[context], table.word)
        contexts = len(kept[-1].word)
        left = 1 - np.bincount(prefix, np.exp(table.log_prob.astype(np.float64)), minlength=contexts)
        lower_left = 1 - np.bincount(prefix, np.exp(lower_log_prob), minlength=contexts)
        kept[-1].backoff[:] = np.log(np.maximum(left, _LEAST)) - np.log(np.maximum(lower_left, _LEAST))
        kept.append(table)
        pruned = NGramModel.build(model.unit, model.words, kept, model.language)
    return pruned


def _bare(table: OrderTable, prefix: NDArray[np.int64], stays: NDArray[np.bool_]) -> OrderTable:
    """Return the n-grams that stay, as yet without backoff weights."""
    return OrderTable(prefix, table.word[stays], table.log_prob[stays], np.zeros(len(prefix), np.float32))
