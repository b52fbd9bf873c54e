"""The change between two transcripts is that of their error rates, and its interval is that of a paired bootstrap."""

import jiwer
import numpy as np
import pytest

from mms_dist.evaluation.metrics import measure, score
from mms_dist.evaluation.paired import Change, Paired, compare, compare_part, mean_change
from tests.report_samples import noisy
from tests.shard_samples import sentence

REFERENCES = [sentence(7 * number, 9) for number in range(40)]


def heard(rate: float, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [noisy(text, rate * random.uniform(0.2, 1.8), random) for text in REFERENCES]


def compared(references: list[str], before: list[str], after: list[str]) -> Paired:
    return compare(measure(references, before), measure(references, after))


def change_of(references: list[str], before: list[str], after: list[str]) -> Change:
    return mean_change([compared(references, before, after)])


def test_the_change_is_the_difference_of_the_error_rates() -> None:
    before, after = heard(0.1, 1), heard(0.3, 2)
    change = change_of(REFERENCES, before, after)
    assert change.cer == pytest.approx(jiwer.cer(REFERENCES, after) - jiwer.cer(REFERENCES, before))
    assert change.wer == pytest.approx(jiwer.wer(REFERENCES, after) - jiwer.wer(REFERENCES, before))
    assert 0 < change.cer_low < change.cer < change.cer_high
    assert 0 < change.wer_low < change.wer < change.wer_high


def test_equal_transcripts_differ_by_nothing() -> None:
    change = change_of(REFERENCES, heard(0.3, 1), heard(0.3, 1))
    assert set((change.cer, change.cer_low, change.cer_high, change.wer, change.wer_low, change.wer_high)) == {0.0}


def test_the_interval_is_narrower_than_those_of_the_rates() -> None:
    before = heard(0.3, 1)
    after = [f"{text} x" for text in before]
    change, scores = change_of(REFERENCES, before, after), score(REFERENCES, after)
    assert change.cer_high - change.cer_low < (scores.cer_high - scores.cer_low) / 4


def test_the_interval_covers_the_truth_about_19_times_in_20() -> None:
    truth = 0.05  # one more error for every 20 characters, on average
    random = np.random.default_rng(0)
    texts = ["x" * 100] * 60
    covered = 0
    for _ in range(100):
        after = ["y" * count + "x" * (100 - count) for count in random.binomial(10, 0.5, 60)]
        change = change_of(texts, texts, after)
        covered += change.cer_low <= truth <= change.cer_high
    assert 88 <= covered <= 99


def test_each_language_counts_the_same_in_the_mean() -> None:
    small = compared(REFERENCES[:10], heard(0.1, 1)[:10], heard(0.5, 2)[:10])
    large = compared(REFERENCES, heard(0.1, 3), heard(0.1, 4))
    mean = mean_change([small, large])
    assert mean.cer == pytest.approx((mean_change([small]).cer + mean_change([large]).cer) / 2)
    alone = mean_change([small])
    assert mean.cer_high - mean.cer_low < alone.cer_high - alone.cer_low


def test_a_part_is_compared_with_all_utterances() -> None:
    measured = measure(REFERENCES, [*heard(0.5, 1)[:10], *heard(0.1, 2)[10:]])
    hard = np.arange(10)
    change = mean_change([compare_part(measured, hard)])
    assert change.cer == pytest.approx(measured.of(hard).scores().cer - measured.scores().cer)
    assert 0 < change.cer_low < change.cer < change.cer_high
    everything = mean_change([compare_part(measured, np.arange(40))])
    assert everything == Change(0, 0, 0, 0, 0, 0)
