"""Perplexity and probabilities of texts."""

import numpy as np
import pytest

from mms_dist.errors import DataError
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.scoring import log_probs, perplexity
from tests.slow_ngrams import SlowModel, random_texts

TEXTS = random_texts(100, 40, seed=4)


def test_texts_scored_together_equal_the_formula_word_by_word() -> None:
    model = train(TEXTS, 3, interpolate_unigrams=True)
    slow = SlowModel(TEXTS, 3, "word")
    texts = [*TEXTS[:20], "neverseen " + TEXTS[0], ""]
    for text, found in zip(texts, log_probs(model, texts), strict=True):
        words = ["<s>", *(word if word in model.ids else "<unk>" for word in text.split()), "</s>"]
        expected = [slow.prob(words[end], tuple(words[max(0, end - 2) : end])) for end in range(1, len(words))]
        assert np.exp(found) == pytest.approx(expected, rel=1e-5)


def test_perplexity_counts_ends_and_can_leave_out_unknown_words() -> None:
    model = train(TEXTS, 2)
    result = perplexity(model, ["neverseen", "", TEXTS[0]])
    first, second = log_probs(model, ["neverseen", TEXTS[0]])
    assert (result.sentences, result.unknown) == (2, 1)
    assert result.tokens == len(first) + len(second) == 3 + len(TEXTS[0].split())
    assert result.perplexity == pytest.approx(np.exp(-np.concatenate([first, second]).mean()))
    assert result.known_perplexity == pytest.approx(np.exp(-np.concatenate([first[1:], second]).mean()))
    with pytest.raises(DataError, match="no sentence"):
        perplexity(model, ["", " "])
