"""Tuned weights belong to one language and one model file."""

from dataclasses import replace
from pathlib import Path

from mms_dist.evaluation.tuned_weights import TUNED_NAME, Tuned, TunedWeights, sha256_of


def test_weights_are_those_of_this_language_and_this_very_model(tmp_path: Path) -> None:
    model = tmp_path / "lm.arpa"
    model.write_text("a model")
    tuned = Tuned(
        language_model=str(model),
        sha256=sha256_of(model),
        alpha=1.5,
        beta=2.0,
        wer=0.5,
        cer=0.2,
        greedy_wer=0.9,
        greedy_cer=0.4,
        utterances=40,
        step=450,
    )
    TunedWeights(tmp_path).store("ron", tuned)
    TunedWeights(tmp_path).store("ita", replace(tuned, alpha=1.0))
    again = TunedWeights(tmp_path)
    assert again.of("ron", model) == tuned
    assert again.of("fra", model) is None
    other = again.of("ita", model)
    assert other is not None and other.alpha == 1.0
    model.write_text("another model")
    assert again.of("ron", model) is None


def test_a_file_that_cannot_be_read_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / TUNED_NAME).write_text('{"languages": {"ron": {"alpha": 1}}')
    (tmp_path / "lm.arpa").write_text("a model")
    assert TunedWeights(tmp_path).of("ron", tmp_path / "lm.arpa") is None
    (tmp_path / TUNED_NAME).write_text('{"languages": {"ron": {"alpha": 1}}}')
    assert TunedWeights(tmp_path).of("ron", tmp_path / "lm.arpa") is None
