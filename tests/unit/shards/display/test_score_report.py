"""Scores are shown with what is suspicious in each split, as far as that can be told."""

import io

import numpy as np
import pytest
from rich.console import Console

from shards.display.score_report import WorstTranscript, print_scores


@pytest.mark.parametrize(
    ("thresholds", "said", "marked"),
    [
        ({"train": -1.0}, "1 suspicious, with a score below -1.00 in train", True),
        ({}, "too few to suspect any", False),
    ],
)
def test_splits_with_too_few_utterances_have_none_that_are_suspicious(thresholds, said, marked):
    console = Console(file=io.StringIO(), width=120)
    worst = [WorstTranscript(-3.0, "a", "train", "one", "two"), WorstTranscript(-2.0, "b", "dev", "three", "four")]
    scores = np.array([-3.0, -2.0, -0.5], np.float32)
    print_scores(console, "ron", scores, suspicious=len(thresholds), thresholds=thresholds, worst=worst)
    printed = console.file.getvalue()
    assert said in printed and ("-3.00 !" in printed) == marked and "-2.00 !" not in printed
