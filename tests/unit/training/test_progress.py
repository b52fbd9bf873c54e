"""Best is best; patience counts from what mattered."""

from mms_dist.config import Stopping
from mms_dist.training.progress import BestSoFar


def test_the_best_is_the_lowest_cer_even_if_patience_ignores_the_gain() -> None:
    best, stopping = BestSoFar(), Stopping(patience=2, min_improvement=0.02)
    assert [best.record(step, cer, 1.0, stopping) for step, cer in enumerate([0.5, 0.485, 0.481])] == [True] * 3
    assert best.cer == 0.481 and best.initial == 0.5 and best.stale == 2
    assert best.reason_to_stop(stopping) == "early_stop"


def test_a_gain_that_counts_starts_patience_anew() -> None:
    best, stopping = BestSoFar(), Stopping(patience=2, min_improvement=0.02)
    for step, cer in enumerate([0.5, 0.49, 0.47, 0.6]):
        best.record(step, cer, 1.0, stopping)
    assert best.stale == 1 and best.reason_to_stop(stopping) is None
    assert (best.cer, best.step) == (0.47, 2)


def test_a_target_ends_it_and_no_patience_never_does() -> None:
    best = BestSoFar()
    for step in range(50):
        best.record(step, 0.3, 0.5, Stopping(patience=None))
    assert best.reason_to_stop(Stopping(patience=None)) is None
    assert best.reason_to_stop(Stopping(patience=None, target_cer=0.3)) == "target"


def test_an_equal_rate_is_no_gain_and_the_first_stays_the_best() -> None:
    best, stopping = BestSoFar(), Stopping(patience=3)
    found = [best.record(step, 0.5, wer, stopping) for step, wer in ((10, 0.9), (20, 0.8), (30, 0.7), (40, 0.6))]
    assert found == [True, False, False, False]
    assert (best.step, best.wer, best.reason_to_stop(stopping)) == (10, 0.9, "early_stop")


def test_a_gain_of_just_what_counts_does_not_count() -> None:
    best, stopping = BestSoFar(), Stopping(patience=1, min_improvement=0.25)
    for step, cer in enumerate([0.75, 0.5]):
        best.record(step, cer, 1.0, stopping)
    assert best.cer == 0.5 and best.reason_to_stop(stopping) == "early_stop"
