"""Outliers are far from the median, and `align --check` and the flag have the same ones."""

import numpy as np

from shards.flags.names import FlagOptions
from shards.flags.outliers import FEWEST_FOR_OUTLIERS, low_scores, lowest_usual_score, outliers

FLAG = "unusual_align_score"


def test_low_scores_are_below_the_threshold_and_usual_ones_above():
    usual = np.random.default_rng(0).normal(-0.5, 0.2, 200)
    threshold = lowest_usual_score(np.array([*usual, *[-6.0] * 20], np.float32))
    assert threshold is not None and -2.0 < threshold < usual.min()


def test_where_all_are_alike_a_small_difference_is_usual():
    scores = np.array([-0.5] * 30 + [-0.6, -3.0])
    assert outliers(scores, FLAG, FlagOptions()).nonzero()[0].tolist() == [31]


def test_the_flag_marks_what_is_below_the_threshold_of_its_split():
    draw = np.random.default_rng(1)
    splits = ["train"] * 100 + ["dev"] * 50 + ["test"] * (FEWEST_FOR_OUTLIERS - 1)
    scores = draw.normal(-0.3, 0.1, len(splits)) - 2 * (draw.random(len(splits)) < 0.1)
    rows = {split: [row for row, each in enumerate(splits) if each == split] for split in ("train", "dev", "test")}
    lowest = {split: lowest_usual_score(scores[chosen]) for split, chosen in rows.items()}
    assert lowest["test"] is None, "too few to tell"
    expected = [low is not None and score < low for score, low in zip(scores, map(lowest.get, splits), strict=True)]
    assert any(expected) and low_scores(scores, splits, FlagOptions()).tolist() == expected
