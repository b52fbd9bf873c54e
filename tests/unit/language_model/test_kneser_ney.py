"""Estimated models against a plain implementation, against KenLM's `lmplz`, and in what must always hold."""

import numpy as np
import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.counting import count_ngrams
from mms_dist.language_model.kneser_ney import discounts, estimate, train
from mms_dist.language_model.ngram_model import NGramModel
from mms_dist.language_model.units import BEGIN, Unit
from tests.slow_ngrams import NGram, SlowModel, random_texts

TEXTS = random_texts(300, 60, seed=1)
# `lmplz -o 3 --prune 0 0 1` of KenLM (4cb443e) for these texts; logarithms to base 10.
LMPLZ = {
    "</s>": -1.002458,
    "<unk>": -2.2848563,
    "ei": -2.12799,
    "<s> bc": -2.1512132,
    "<s> de": -2.684065,
    "b cg": -1.9518268,
    "bd b": -0.9333454,
    "bg c": -1.0317998,
    "bg ga": -1.1392881,
    "bh b": -0.72246784,
    "h bd": -1.7912939,
    "<s> d b": -0.39859587,
    "<s> i b": -0.34069386,
    "b b g": -1.9241536,
    "bc b b": -0.47056645,
    "c d </s>": -0.6335481,
    "ff c </s>": -0.27288666,
    "h c c": -0.8649124,
}


def state_after(model: NGramModel, history: NGram) -> int:
    state = np.array([model.start if history[:1] == ("<s>",) else model.empty])
    for word in history:
        if word != "<s>":
            _, state = model.advance(state, np.array([model.ids[word]]))
    return int(state[0])


def all_log_probs(model: NGramModel, states: list[int]) -> np.ndarray:
    """Log-probabilities `[states, words]`; -inf for `<s>`, which is never predicted."""
    words = len(model.words)
    log_prob, _ = model.advance(np.repeat(states, words), np.tile(np.arange(words), len(states)))
    table = log_prob.reshape(-1, words)
    table[:, BEGIN] = -np.inf
    return table


@pytest.mark.parametrize("interpolate", [True, False])
@pytest.mark.parametrize(
    ("order", "unit"), [(1, "word"), (2, "word"), (3, "word"), (4, "word"), (3, "char"), (6, "char")]
)
def test_a_model_equals_the_plain_formula(order: int, unit: Unit, interpolate: bool) -> None:
    model = estimate(count_ngrams(TEXTS, order, unit), interpolate_unigrams=interpolate)
    slow = SlowModel(TEXTS, order, unit, interpolate_unigrams=interpolate)
    assert set(model.words) == {*slow.words, "<s>", "<unk>"}
    histories = [ngram for size in range(order) for ngram in list(slow.seen[size])[::7] if ngram[-1:] != ("</s>",)]
    histories += [()]
    table = all_log_probs(model, [state_after(model, history) for history in histories])
    for history, row in zip(histories, table, strict=True):
        for word in list(model.words)[::5]:
            if word != "<s>":
                assert np.exp(row[model.ids[word]]) == pytest.approx(slow.prob(word, history), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("unit", "settings"),
    [
        ("word", {}),
        ("word", {"cutoffs": (0, 0, 1)}),
        ("word", {"cutoffs": (0, 1, 2, 3)}),
        ("word", {"min_word_count": 2}),
        ("word", {"entropy": 1e-4}),
        ("word", {"cutoffs": (0, 0, 1), "entropy": 1e-3}),
        ("char", {"entropy": 1e-4}),
        ("char", {"cutoffs": (0, 0, 1, 2)}),
    ],
)
def test_probabilities_of_all_words_sum_to_one(unit: Unit, settings: dict) -> None:
    model = train(TEXTS, 4, unit, **settings)
    states = np.unique(model.state)
    chosen = np.random.default_rng(0).choice(states, min(len(states), 100), replace=False)
    table = all_log_probs(model, [model.start, model.empty, *chosen.tolist()])
    assert np.exp(table).sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_a_model_equals_that_of_lmplz() -> None:
    model = train(TEXTS, 3, cutoffs=(0, 0, 1), interpolate_unigrams=True)
    for ngram, log_prob in LMPLZ.items():
        *history, word = ngram.split()
        state = np.array([state_after(model, tuple(history))])
        found, _ = model.advance(state, np.array([model.ids[word]]))
        assert found[0] / np.log(10) == pytest.approx(log_prob, abs=2e-6), ngram


def test_words_do_not_depend_on_the_order_of_sentences() -> None:
    forward, backward = train(TEXTS, 3), train(TEXTS[::-1], 3)
    assert forward.words == backward.words
    assert np.array_equal(forward.key, backward.key)
    assert np.allclose(forward.log_prob, backward.log_prob)


def test_cutoffs_drop_rare_ngrams_of_their_order_and_above() -> None:
    full, cut = train(TEXTS, 4), train(TEXTS, 4, cutoffs=(0, 0, 1))
    assert cut.sizes[:2] == full.sizes[:2]
    counts = count_ngrams(TEXTS, 4)
    assert cut.sizes[2:] == tuple(int((order.count > 1).sum()) for order in counts.orders[2:])


def test_discounts_fall_back_where_counts_cannot_tell() -> None:
    assert discounts(np.array([1, 1, 1, 5])).values == (0.5, 1.0, 1.5)
    assert not discounts(np.array([1] * 6 + [2, 3, 3, 3])).estimated  # out of range
    assert discounts(np.array([1] * 10 + [2] * 4 + [3] * 2 + [4])).estimated


def test_unseen_words_share_what_words_leave() -> None:
    texts = TEXTS[:40]
    shared = train(texts, 2, interpolate_unigrams=True)
    apart = train(texts, 2, interpolate_unigrams=False)
    assert apart.log_prob[1] > shared.log_prob[1] + 1  # of <unk>


def test_sentences_shorter_than_the_order_are_enough() -> None:
    model = train(["a", "b"], 6)
    assert model.order == 3
    assert np.exp(all_log_probs(model, [model.start])).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("texts", "order", "settings", "words"),
    [
        ([], 3, {}, "no sentence"),
        (["  "], 3, {}, "no sentence"),
        (["a <s> b"], 3, {}, "<s> or </s> as a word"),
        (["a"], 0, {}, "expected 1 … 6"),
        (["a"], 7, {}, "expected 1 … 6"),
        (["a"], 3, {"cutoffs": (0, 2, 1)}, "cut-offs are 0 2 1"),
        (["a"], 3, {"cutoffs": (1,)}, "cut-offs are 1"),
    ],
)
def test_unusable_text_or_settings_are_named(texts: list[str], order: int, settings: dict, words: str) -> None:
    with pytest.raises(DataError) as caught:
        train(texts, order, **settings)
    assert words in str(caught.value)
