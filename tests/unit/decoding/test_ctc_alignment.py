"""The alignment is the most probable of all paths that give the text."""

import itertools

import numpy as np
import pytest

from mms_dist.decoding.ctc_alignment import align
from shards.vocabulary import FIXED, SPACE, Vocabulary
from tests.slow_decoders import random_log_probs

SMALL = Vocabulary("xxx", (*FIXED, "a", "b"))
USED = [0, SPACE, 5, 6]


@pytest.mark.parametrize("text", ["a", "ab", "aa", "a b", "ab a", "b a b"])
@pytest.mark.parametrize("seed", range(5))
def test_times_are_those_of_the_best_path(text: str, seed: int) -> None:
    frames = 6
    log_prob_TV = random_log_probs(frames, SMALL, seed)
    paths = [path for path in itertools.product(USED, repeat=frames) if SMALL.decode(path) == text]
    best = max(paths, key=lambda path: sum(log_prob_TV[t, label] for t, label in enumerate(path)))
    expected = []
    for label, group in itertools.groupby(range(frames), key=lambda t: best[t]):
        times = list(group)
        if label > SPACE:
            expected.append([times[0], times[-1] + 1])
    labels = SMALL.encode(text)
    found = align(log_prob_TV, labels)
    assert found[np.array(labels) > SPACE].tolist() == expected
    assert (found[:, 0] < found[:, 1]).all() and (found[1:, 0] >= found[:-1, 1]).all()


def test_too_few_frames_are_an_error() -> None:
    log_prob_TV = random_log_probs(2, SMALL, 0)
    with pytest.raises(ValueError, match="3 labels need more than 2 frames"):
        align(log_prob_TV, SMALL.encode("aba"))
    with pytest.raises(ValueError):
        align(log_prob_TV, SMALL.encode("aa"))  # a blank between is needed
    assert align(log_prob_TV, []).shape == (0, 2)
