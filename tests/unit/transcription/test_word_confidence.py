"""Confidences learn from dev how often a word is right."""

import numpy as np
import pytest

from mms_dist.transcription.transcript import Segment, Timed
from mms_dist.transcription.word_confidence import calibration_error, is_right, learn


def segment(*words: tuple[str, float]) -> Segment:
    """Words whose characters are all as sure as the word."""
    timed = tuple(Timed(text, 0, 1, sure) for text, sure in words)
    characters = tuple(Timed(letter, 0, 1, sure) for text, sure in words for letter in text)
    return Segment(" ".join(text for text, _ in words), 0, 1, timed, characters)


def heard(count: int, seed: int) -> tuple[list[Segment | None], list[str]]:
    """Words that the model is far too sure of: one of confidence c is right in c² of the cases."""
    random = np.random.default_rng(seed)
    sure = random.uniform(0.3, 1.0, (count, 4))
    right = random.uniform(size=sure.shape) < sure**2
    segments: list[Segment | None] = [segment(*(("ab", each) for each in row)) for row in sure]
    return [*segments, None], [" ".join("ab" if each else "xy" for each in row) for row in right] + ["ab"]


def test_confidences_are_the_share_of_right_words_after_calibration() -> None:
    learned = learn(*heard(100, 0))
    segments, references = heard(400, 1)
    calibrated = [learned.calibrated(each) for each in segments if each is not None]
    sure_W = np.array([word.confidence for each in calibrated for word in each.words])
    right_W = np.array([x for pair in zip(references, calibrated, strict=False) for x in is_right(*pair)])
    assert learned.words == 400 and learned.before > 0.15 and learned.after < 0.06
    assert calibration_error(sure_W, right_W) < 0.05


def test_calibration_changes_nothing_but_confidences_and_keeps_their_order() -> None:
    learned = learn(*heard(100, 0))
    before = segment(("ab", 0.9), ("cd", 0.4), ("ef", 0.7))
    after = learned.calibrated(before)
    assert after.text == before.text and after.characters == before.characters
    assert [(word.text, word.start, word.end) for word in after.words] == [("ab", 0, 1), ("cd", 0, 1), ("ef", 0, 1)]
    sure = [word.confidence for word in after.words]
    assert sure[0] > sure[2] > sure[1] and after.confidence == pytest.approx(np.mean(sure))
    assert learned.calibrated(Segment("", 0, 0)) == Segment("", 0, 0)


@pytest.mark.parametrize("right", [True, False])
def test_words_that_are_all_right_or_all_wrong_are_learned_from(right: bool) -> None:
    segments, _ = heard(30, 0)
    learned = learn(segments, ["ab ab ab ab" if right else "x"] * len(segments))
    sure = learned.calibrated(segment(("ab", 0.6))).words[0].confidence
    assert sure > 0.9 if right else sure < 0.1


def test_a_word_is_right_if_an_alignment_with_the_fewest_edits_says_so() -> None:
    assert is_right("one two three", segment(("one", 1), ("to", 1), ("three", 1))) == [True, False, True]
    assert is_right("one three", segment(("one", 1), ("two", 1), ("three", 1))) == [True, False, True]
    assert is_right("one", None) == []


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    sure_W, right_W = np.array([0.95, 0.95, 0.15, 1.0]), np.array([True, False, False, True])
    assert calibration_error(sure_W, right_W) == pytest.approx((abs(2.9 / 3 - 2 / 3) * 3 + 0.15) / 4)
    assert calibration_error(np.array([]), np.array([], bool)) == 0
