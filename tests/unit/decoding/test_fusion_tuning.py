"""Tuning finds the weights that decode best, with the same result in several processes."""

import numpy as np

from mms_dist.decoding.beam_search import Beam, BeamSearch
from mms_dist.decoding.fusion_tuning import TuningTask, tune
from mms_dist.decoding.shallow_fusion import fuse
from mms_dist.language_model.kneser_ney import train
from shards.vocabulary import FIXED, SPACE, Vocabulary
from tests.slow_ngrams import random_texts

VOCABULARY = Vocabulary("xxx", (*FIXED, *"abcdefghij"))
TEXTS = random_texts(80, 60, seed=6)


def noisy(text: str, seed: int) -> np.ndarray:
    """Return outputs that say the text, two frames a label and a blank between, in noise."""
    generator = np.random.default_rng(seed)
    path = [label for label in VOCABULARY.encode(text) for label in (label, label, 0)]
    logits = generator.normal(size=(len(path), len(VOCABULARY))) * 2.5
    logits[np.arange(len(path)), path] += 4
    logits[:, SPACE] -= 1
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def test_the_best_weights_come_first_and_beat_no_model() -> None:
    references = TEXTS[:20]
    log_probs = [noisy(text, number) for number, text in enumerate(references)]
    task = TuningTask(VOCABULARY, fuse(train(TEXTS, 2), VOCABULARY), log_probs, references, Beam(20))
    rows = tune(task, alphas=(0.0, 0.5, 1.0), betas=(0.0, 1.0))
    assert sorted((row.alpha, row.beta) for row in rows) == [(a, b) for a in (0.0, 0.5, 1.0) for b in (0.0, 1.0)]
    assert [row.wer for row in rows] == sorted(row.wer for row in rows)
    none = next(row for row in rows if (row.alpha, row.beta) == (0.0, 0.0))
    assert rows[0].wer < none.wer - 0.1
    plain = BeamSearch(VOCABULARY, beam=Beam(20)).decode(log_probs)
    errors = sum(found[0].text != text for found, text in zip(plain, references, strict=True))
    assert errors > 0


def test_several_processes_measure_the_same() -> None:
    references = TEXTS[:6]
    log_probs = [noisy(text, number) for number, text in enumerate(references)]
    task = TuningTask(VOCABULARY, fuse(train(TEXTS, 3, "char"), VOCABULARY), log_probs, references, Beam(10))
    grid = {"alphas": (0.5, 1.0), "betas": (0.0,)}
    assert tune(task, **grid, processes=2) == tune(task, **grid)
