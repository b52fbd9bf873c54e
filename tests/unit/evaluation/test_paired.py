"""The change between two transcripts is that of their error rates, and its interval is that of a paired bootstrap."""

import jiwer
import numpy as np
import pytest

from mms_dist.evaluation.metrics import score
from mms_dist.evaluation.paired import compare, mean_change
from tests.report_samples import noisy
from tests.shard_samples import sentence

REFERENCES = [sentence(7 * number, 9) for number in range(40)]


def heard(rate: float, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [noisy(text, rate * random.uniform(0.2, 1.8), random) for text in REFERENCES]


def test_the_change_is_the_difference_of_the_error_rates() -> None:
    before, after = heard(0.1, 1), heard(0.3, 2)
    change = mean_change([compare(REFERENCES, before, after)])
    assert change.cer == pytest.approx(jiwer.cer(REFERENCES, after) - jiwer.cer(REFERENCES, before))
    assert change.wer == pytest.approx(jiwer.wer(REFERENCES, after) - jiwer.wer(REFERENCES, before))
    assert 0 < change.cer_low < change.cer < change.cer_high
    assert 0 < change.wer_low < change.wer < change.wer_high


def test_equal_transcripts_differ_by_nothing() -> None:
    change = mean_change([compare(REFERENCES, heard(0.3, 1), heard(0.3, 1))])
    assert set((change.cer, change.cer_low, change.cer_high, change.wer, change.wer_low, change.wer_high)) == {0.0}


def test_the_interval_is_narrower_than_those_of_the_rates() -> None:
    before = heard(0.3, 1)
    after = [f"{text} x" for text in before]
    change, scores = mean_change([compare(REFERENCES, before, after)]), score(REFERENCES, after)
    assert change.cer_high - change.cer_low < (scores.cer_high - scores.cer_low) / 4


def test_the_interval_covers_the_truth_about_19_times_in_20() -> None:
    truth = 0.05  # one more error for every 20 characters, on average
    random = np.random.default_rng(0)
    texts = ["x" * 100] * 60
    covered = 0
    for _ in range(100):
        after = ["y" * count + "x" * (100 - count) for count in random.binomial(10, 0.5, 60)]
        change = mean_change([compare(texts, texts, after)])
        covered += change.cer_low <= truth <= change.cer_high
    assert 88 <= covered <= 99


def test_each_language_counts_the_same_in_the_mean() -> None:
    small = compare(REFERENCES[:10], heard(0.1, 1)[:10], heard(0.5, 2)[:10])
    large = compare(REFERENCES, heard(0.1, 3), heard(0.1, 4))
    mean = mean_change([small, large])
    assert mean.cer == pytest.approx((mean_change([small]).cer + mean_change([large]).cer) / 2)
    alone = mean_change([small])
    assert mean.cer_high - mean.cer_low < alone.cer_high - alone.cer_low
