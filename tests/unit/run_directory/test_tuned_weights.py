"""Tuned weights belong to one language and one model file."""

from dataclasses import replace
from pathlib import Path

from mms_dist.run_directory.tuned_weights import TUNED_NAME, Tuned, TunedWeights, sha256_of


def tuned_for(model: Path) -> Tuned:
    """Write a model, and return weights for it."""
    model.write_text("a model")
    return Tuned(
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


def test_weights_are_those_of_this_language_and_this_very_model(tmp_path: Path) -> None:
    model = tmp_path / "lm.arpa"
    tuned = tuned_for(model)
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


def test_a_copy_has_the_weights_of_the_chosen_languages_and_no_paths(tmp_path: Path) -> None:
    model = tmp_path / "lm.arpa"
    tuned = tuned_for(model)
    run, export = tmp_path / "run", tmp_path / "export"
    export.mkdir()
    (run / "eval").mkdir(parents=True)
    TunedWeights(run / "eval").copy(["ron"], export)
    assert list(export.iterdir()) == []
    for language in ("ron", "ita"):
        TunedWeights(run / "eval").store(language, tuned)
    TunedWeights(run / "eval").copy(["ron"], export)
    (run / "config.yaml").write_text("")
    assert TunedWeights.beside(run).of("ita", model) == tuned
    assert TunedWeights.beside(export).of("ron", model) == replace(tuned, language_model="lm.arpa")
    assert TunedWeights.beside(export).of("ita", model) is None
    assert str(tmp_path) not in (export / TUNED_NAME).read_text()
