"""The score of a text: what it costs to believe it, by label."""

import itertools

import numpy as np
import pytest

from mms_dist.alignment.score import ADDED_LABELS, WORST, score_of
from shards.vocabulary import FIXED, UNKNOWN, Vocabulary
from tests.slow_decoders import random_log_probs

SMALL = Vocabulary("xxx", (*FIXED, "a", "b"))


@pytest.mark.parametrize("text", ["a", "ab", "bab"])
def test_it_is_the_probability_of_all_paths_against_the_best_one(text: str) -> None:
    log_prob_TV = np.log(np.exp(random_log_probs(5, SMALL, 4)) * 0.9 + 0.1 / len(SMALL))
    paths = [path for path in itertools.product(range(len(SMALL)), repeat=5) if collapsed(path) == SMALL.encode(text)]
    likelihood = sum(np.exp(sum(log_prob_TV[t, label] for t, label in enumerate(path))) for path in paths)
    expected = (np.log(likelihood) - log_prob_TV.max(axis=1).sum()) / (len(text) + ADDED_LABELS)
    assert score_of(log_prob_TV, SMALL.encode(text)) == pytest.approx(expected, abs=1e-5)


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != 0]


def test_impossible_texts_have_the_lowest_score_and_not_infinity() -> None:
    log_prob_TV = random_log_probs(2, SMALL, 0)
    assert score_of(log_prob_TV, SMALL.encode("aba")) == WORST
    log_prob_TV = np.full((4, len(SMALL)), -np.inf)
    log_prob_TV[:, 0] = 0.0  # as silent windows are
    assert WORST <= score_of(log_prob_TV, SMALL.encode("a")) < -2


def test_characters_outside_the_vocabulary_do_not_count() -> None:
    log_prob_TV = random_log_probs(8, SMALL, 2)
    assert score_of(log_prob_TV, [5, UNKNOWN, 6]) == score_of(log_prob_TV, [5, 6])
