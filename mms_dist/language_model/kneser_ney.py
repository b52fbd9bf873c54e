"""Estimate an n-gram model with interpolated, modified Kneser-Ney smoothing.

Chen and Goodman 1999, "An Empirical Study of Smoothing Techniques for Language Modeling", in the form of KenLM's
`lmplz` (Heafield et al. 2013, "Scalable Modified Kneser-Ney Language Model Estimation"). N-grams and probabilities
equal those of `lmplz`, except where it counts one n-gram of an order differently for the discounts (seen once, with an
effect of 3e-4 on logarithms of that order).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mms_dist.errors import DataError
from mms_dist.language_model.counting import NGramCounts, OrderCounts, count_ngrams
from mms_dist.language_model.entropy_pruning import prune_by_entropy
from mms_dist.language_model.ngram_model import NEVER, NGramModel, OrderTable
from mms_dist.language_model.units import BEGIN, UNKNOWN, Unit

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""Discounts of an order whose own cannot be estimated (`lmplz --discount_fallback` has the same)."""


@dataclass(frozen=True, slots=True)
class Discounts:
    """What is taken from counts of 1, 2, and 3 or more; `estimated` is false for the fallback."""

    values: tuple[float, float, float]
    estimated: bool


def train(
    texts: Iterable[str],
    order: int,
    unit: Unit = "word",
    *,
    cutoffs: Sequence[int] = (),
    entropy: float = 0.0,
    min_word_count: int = 1,
    interpolate_unigrams: bool | None = None,
    language: str | None = None,
) -> NGramModel:
    """Count sentences and estimate a model.

    Args:
        texts: one sentence each, normalised as the transcripts are; see `count_ngrams`.
        order: length of the longest n-grams, 1 ... 6.
        cutoffs: see `estimate`.
        entropy: relative rise of the perplexity for which an n-gram may be dropped; 0 drops none. See
            `prune_by_entropy`. A usual value is 1e-8 ... 1e-6.
        min_word_count: words that occur less often become `<unk>`.
        interpolate_unigrams: see `estimate`; None: only for characters.

    Raises:
        DataError: the text or a setting is not usable.
    """
    counts = count_ngrams(texts, order, unit, min_word_count=min_word_count)
    if interpolate_unigrams is None:
        interpolate_unigrams = unit == "char"
    model = estimate(counts, cutoffs=cutoffs, interpolate_unigrams=interpolate_unigrams, language=language)
    if not entropy:
        return model
    return prune_by_entropy(model, entropy, history_probs=_history_probs(counts, cutoffs))


def estimate(
    counts: NGramCounts,
    *,
    cutoffs: Sequence[int] = (),
    interpolate_unigrams: bool = True,
    language: str | None = None,
) -> NGramModel:
    """Estimate a model from counts.

    Args:
        cutoffs: for each order from the first, drop its n-grams that occur this often or less (`lmplz --prune`). The
            last value holds for all higher orders; the first must be 0, because no word is dropped.
        interpolate_unigrams: whether all words share the mass that the discounts of words leave (`lmplz`'s default);
            otherwise `<unk>` alone has it. The latter is right where words that were never seen are spelled out, as
            in `WordFusion`: the mass is that of all of them, and the spelling model shares it.

    Raises:
        DataError: the cut-offs are not rising.
    """
    cutoffs = all_cutoffs(cutoffs, len(counts.orders))
    tables: list[OrderTable] = []
    lower = np.zeros(0)
    number_of = np.zeros(0, np.int64)
    for number, ngrams in enumerate(counts.orders):
        kept = ngrams.count > cutoffs[number]
        if number == 0:
            probs = _unigrams(ngrams, interpolate_unigrams)
            kept[:] = True  # `<unk>` too, which has no count
        else:
            probs, backoff = _interpolated(ngrams, kept, lower)
            tables[-1].backoff[:] = _log(backoff[number_of >= 0])
        prefix = ngrams.prefix[kept] if number == 0 else number_of[ngrams.prefix[kept]]
        tables.append(OrderTable(prefix, ngrams.word[kept], _log(probs[kept]), np.zeros(len(prefix), np.float32)))
        lower = probs
        number_of = np.where(kept, np.cumsum(kept) - 1, -1)
    while len(tables) > 1 and not len(tables[-1].word):
        tables.pop()
    return NGramModel.build(counts.unit, counts.words, tables, language)


def discounts(left_contexts: NDArray[np.int64]) -> Discounts:
    """Estimate the discounts of an order from its counts of counts (Chen and Goodman 1999, equation 26)."""
    n1, n2, n3, n4 = (int((left_contexts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return Discounts(FALLBACK_DISCOUNTS, estimated=False)
    share = n1 / (n1 + 2 * n2)
    values = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    if not all(0 <= value <= times for times, value in enumerate(values, start=1)):
        return Discounts(FALLBACK_DISCOUNTS, estimated=False)
    return Discounts(values, estimated=True)


def _discount_of(left_contexts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each n-gram's discount; n-grams that were never seen have none."""
    values = discounts(left_contexts).values
    return np.array((0.0, *values))[np.minimum(left_contexts, 3)]


def _log(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.log(np.maximum(values, np.exp(NEVER))).astype(np.float32)


def _unigrams(ngrams: OrderCounts, interpolate: bool) -> NDArray[np.float64]:
    """Return p(word); that of `<s>`, which is never predicted, is 1 as in KenLM's files."""
    seen = ngrams.left_contexts.copy()
    seen[BEGIN] = 0
    discount = _discount_of(seen)
    probs = (seen - discount) / seen.sum()
    rest = discount.sum() / seen.sum()
    if interpolate:
        probs += rest / (len(seen) - 1)
    else:
        probs[UNKNOWN] += rest
    probs[BEGIN] = 1.0
    return probs


def _interpolated(
    ngrams: OrderCounts, kept: NDArray[np.bool_], lower: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probabilities of an order's n-grams, and the backoff weights of the contexts below."""
    seen = ngrams.left_contexts.astype(np.float64)
    discount = _discount_of(ngrams.left_contexts)
    total = np.bincount(ngrams.prefix, seen, minlength=len(lower))
    taken = np.bincount(ngrams.prefix, np.where(kept, discount, seen), minlength=len(lower))
    backoff = np.divide(taken, total, out=np.ones(len(lower)), where=total > 0)
    probs = (seen - discount) / total[ngrams.prefix] + backoff[ngrams.prefix] * lower[ngrams.suffix]
    return probs, backoff


def all_cutoffs(cutoffs: Sequence[int], order: int) -> list[int]:
    """Return a cut-off for every order.

    Raises:
        DataError: they are not 0 and then rising.
    """
    filled = [0, *cutoffs[1:]] if cutoffs else [0]
    filled = (filled + [filled[-1]] * order)[:order]
    if (cutoffs and cutoffs[0] != 0) or any(low > high for low, high in pairwise(filled)):
        raise DataError(
            f"the count cut-offs are {' '.join(map(str, cutoffs))}, expected 0 for words and then rising numbers",
            fix="as in 0 0 1 2, for the orders from 1 to 4",
        )
    return filled


def _history_probs(counts: NGramCounts, cutoffs: Sequence[int]) -> list[NDArray[np.float64]]:
    """Return how often each kept n-gram occurs for each token."""
    filled = all_cutoffs(cutoffs, len(counts.orders))
    kept = [ngrams.count > filled[number] for number, ngrams in enumerate(counts.orders)]
    kept[0][:] = True
    return [ngrams.count[mask] / counts.tokens for ngrams, mask in zip(counts.orders, kept, strict=True)]
