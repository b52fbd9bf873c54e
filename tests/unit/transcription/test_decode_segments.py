"""Segments become text with times and confidences; a pause that was not computed separates words."""

from pathlib import Path

import numpy as np
import pytest

from mms_dist.decoding.search_settings import SearchSettings
from mms_dist.emissions.window_outputs import silence
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.model_file import write_model
from mms_dist.transcription.decode_segments import Outputs, decode_segments
from shards.vocabulary import FIXED, Vocabulary

VOCABULARY = Vocabulary("xxx", (*FIXED, "a", "b"))


def said(*labels: int, sure: float = 0.9) -> np.ndarray:
    probability_TV = np.full((len(labels), len(VOCABULARY)), (1 - sure) / (len(VOCABULARY) - 1), np.float32)
    probability_TV[np.arange(len(labels)), labels] = sure
    return np.log(probability_TV)


def test_words_have_the_times_and_confidence_of_their_frames() -> None:
    log_prob_TV = np.concatenate([said(0, 5, 5, 0, 6), said(4, 0, 6, 0, sure=0.8)])
    segments = decode_segments(VOCABULARY, None, [Outputs(100, log_prob_TV), Outputs(0, said(0, 0, 0))])
    assert segments[1] is None
    (segment, _) = segments
    assert segment is not None and segment.text == "ab b"
    assert [(word.text, word.start, word.end) for word in segment.words] == [("ab", 2.02, 2.1), ("b", 2.14, 2.16)]
    assert [word.confidence for word in segment.words] == pytest.approx([0.9, 0.8], abs=1e-3)
    assert segment.confidence == pytest.approx(0.85, abs=1e-3)
    assert [(each.text, each.start) for each in segment.characters] == [("a", 2.02), ("b", 2.08), ("b", 2.14)]


@pytest.mark.parametrize("with_model", [False, True])
def test_a_silent_stretch_separates_words(with_model: bool, tmp_path: Path) -> None:
    search = None
    if with_model:
        write_model(train(["a b", "ab ba"], 2, "char", language="xxx"), tmp_path / "lm.safetensors")
        search = SearchSettings(VOCABULARY, tmp_path / "lm.safetensors")
    log_prob_TV = np.concatenate([said(5, 5, 0), silence(7, len(VOCABULARY)), said(0, 6, 6)])
    (segment,) = decode_segments(VOCABULARY, search, [Outputs(0, log_prob_TV)])
    assert segment is not None and segment.text == "a b"
    assert [(word.start, word.end) for word in segment.words] == [(0.0, 0.04), (0.22, 0.26)]
