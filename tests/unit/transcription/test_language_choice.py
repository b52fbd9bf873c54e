"""The choice of a language learns what the measures of its candidates say, and how sure it may be."""

import numpy as np
import pytest

from mms_dist.transcription.language_choice import measures
from mms_dist.transcription.logistic_regression import fit


def heard(language: int, generator: np.random.Generator, *, sharpness: float = 2.0) -> list[np.ndarray]:
    """Outputs of the three adapters: that of the language is surer; vocabularies differ in size."""
    outputs = []
    for number in range(3):
        logits = generator.normal(size=(60, 8 + 5 * number)) * (sharpness if number == language else 1.0) * (1 + number)
        outputs.append((logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32))
    return outputs


def test_scores_that_cannot_be_compared_are_learned_to_be_compared() -> None:
    generator = np.random.default_rng(0)
    language_U = np.arange(60) % 3
    choice = fit(np.array([measures(heard(each, generator)) for each in language_U]), language_U, 3)
    others_U = np.arange(90) % 3
    measures_UM = np.array([measures(heard(each, generator)) for each in others_U])
    probability_UN = choice.probabilities(measures_UM)
    assert probability_UN.sum(axis=1) == pytest.approx(np.ones(90))
    assert (probability_UN.argmax(axis=1) == others_U).mean() > 0.95
    raw = np.array([each.reshape(3, -1)[:, 0].argmax() for each in measures_UM])
    assert (raw == others_U).mean() < 0.8, "the likeliest path alone does not tell"


def test_what_tells_nothing_is_no_certainty() -> None:
    generator = np.random.default_rng(1)
    language_U = np.arange(60) % 3
    choice = fit(np.array([measures(heard(-1, generator)) for _ in language_U]), language_U, 3)
    probability_UN = choice.probabilities(np.array([measures(heard(-1, generator)) for _ in range(60)]))
    assert probability_UN.max(axis=1).mean() < 0.75


def test_silence_has_finite_measures() -> None:
    blank = np.full((5, 8), -30.0, np.float32)
    blank[:, 0] = 0.0
    assert np.isfinite(measures([blank, blank])).all()
