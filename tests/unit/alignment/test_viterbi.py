"""The alignment is the most probable of all paths that give the text."""

import itertools
import tracemalloc

import numpy as np
import pytest

from mms_dist.alignment.viterbi import align
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
    alignment = align(log_prob_TV, labels)
    found = alignment.frames
    assert alignment.score == pytest.approx(sum(log_prob_TV[t, label] for t, label in enumerate(best)))
    assert found[np.array(labels) > SPACE].tolist() == expected
    assert (found[:, 0] < found[:, 1]).all() and (found[1:, 0] >= found[:-1, 1]).all()


def test_too_few_frames_are_an_error() -> None:
    log_prob_TV = random_log_probs(2, SMALL, 0)
    with pytest.raises(ValueError, match="3 labels need more than 2 frames"):
        align(log_prob_TV, SMALL.encode("aba"))
    with pytest.raises(ValueError):
        align(log_prob_TV, SMALL.encode("aa"))  # a blank between is needed
    assert align(log_prob_TV, []).frames.shape == (0, 2)


def test_labels_have_the_probability_of_their_frames() -> None:
    log_prob_TV = np.full((6, len(SMALL)), -9.0)
    path = [0, 5, 5, 0, 6, 6]
    log_prob_TV[np.arange(6), path] = [-0.1, -0.2, -0.4, -0.1, -0.3, -0.5]
    alignment = align(log_prob_TV, SMALL.encode("ab"))
    assert alignment.frames.tolist() == [[1, 3], [4, 6]]
    assert alignment.log_prob.tolist() == pytest.approx([-0.3, -0.4])
    assert alignment.score == pytest.approx(-1.6)


def test_the_memory_of_a_long_text_is_far_below_frames_times_labels() -> None:
    frames, count = 4_000, 1_500
    log_prob_TV = random_log_probs(frames, SMALL, 1).astype(np.float32)
    labels = [5, 6] * (count // 2)
    tracemalloc.start()
    found = align(log_prob_TV, labels).frames
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < frames * (2 * count + 1) / 3, "a byte for each would be the table of steps"
    assert len(found) == count and (found[1:, 0] >= found[:-1, 1]).all()
