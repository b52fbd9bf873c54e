"""`mms-dist eval --conditions`: every model hears the same, the report reads it, and nonsense ends before any work."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from launcher.cli import main
from mms_dist import evaluate
from mms_dist.evaluation.stored_evaluation import read_evaluation
from tests.corpus import build_toy_shards
from tests.training import toy_config, train

CONDITIONS = ("noise:5", "overlap:0", "reverb:0.3", "telephone", "opus:12", "speed:0.8,1.2", "soft:-30", "clipping")
LABELS = ["noise:5", "overlap:0", "reverb:0.3", "telephone", "opus:12", "speed:0.8", "speed:1.2", "soft:-30"]
LABELS += ["clipping:20"]


@pytest.fixture(scope="module")
def run(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two languages, whose shards have language models."""
    folder = tmp_path_factory.mktemp("conditions")
    shards = build_toy_shards(folder, languages=2, train=8, dev=1, test=6)
    assert main(["lm", "build", str(shards), "--unit", "char", "--order", "3"]) == 0
    assert train(toy_config(folder / "run", small_base, shards, optim={"steps": 40})) == "finished"
    return folder / "run"


@pytest.fixture(scope="module")
def values(run: Path) -> dict[str, Any]:
    """What is stored in the run."""
    assert main(["eval", str(run), "--conditions", *CONDITIONS]) == 0
    return dict(json.loads((run / "eval" / "test.json").read_text(encoding="utf-8")))


def test_the_report_reads_the_scores_under_every_condition(run: Path, values: dict[str, Any]) -> None:
    stored = read_evaluation(run)
    assert stored is not None
    for language, own in values["languages"].items():
        assert list(own["conditions"]) == LABELS
        assert list(stored.languages[language].conditions) == LABELS
        for each in own["conditions"].values():
            assert each["utterances"] == own["utterances"] == 6
            assert each["change"]["cer"] == pytest.approx(each["cer"] - own["cer"])
            assert each["change"]["cer_low"] <= each["change"]["cer"] <= each["change"]["cer_high"]
    for label, mean in values["conditions"].items():
        cer = [own["conditions"][label]["cer"] for own in values["languages"].values()]
        assert mean["languages"] == 2 and mean["cer"] == pytest.approx(sum(cer) / 2)
        assert mean["change"]["cer"] == pytest.approx(mean["cer"] - values["mean"]["cer"])
    assert any(mean["change"]["cer"] > 0.05 for mean in values["conditions"].values())
    assert values["noise"] == "babble of other utterances of the split"


def test_conditions_do_not_change_the_scores_on_clean_audio(run: Path, values: dict[str, Any]) -> None:
    clean = evaluate(run, split="test")
    assert {code: result.scores.as_dict()["cer"] for code, result in clean.items()} == {
        code: own["cer"] for code, own in values["languages"].items()
    }


def test_an_utterance_is_changed_alike_in_any_batch_and_selection(run: Path, values: dict[str, Any]) -> None:
    small_passes = ["--evaluation.forward_seconds", "1", "--data.workers", "2"]
    alone = evaluate(run, split="test", languages=["tab"], conditions=CONDITIONS, settings=small_passes)["tab"]
    for label, result in alone.conditions.items():
        assert result.scores.cer == pytest.approx(values["languages"]["tab"]["conditions"][label]["cer"]), label


def test_two_models_hear_the_same_under_every_condition(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--languages", "taa", "--compare", str(run), "--conditions", "noise:0", "overlap", "reverb"]
    assert main(["eval", str(run), *flags, "--output", str(tmp_path / "scores.json")]) == 0
    (found,) = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["comparisons"]
    assert list(found["conditions"]) == ["noise:0", "overlap:10", "reverb:0.3", "reverb:0.6"]
    assert {each["change"]["cer_high"] for each in found["conditions"].values()} == {0.0}, "it is the same model"
    assert f"compared with {run} under conditions" in " ".join(capsys.readouterr().out.split())


def test_with_a_language_model_greedy_scores_stand_beside(run: Path, values: dict[str, Any]) -> None:
    shards = run.parent / "shards"
    found = evaluate(run, split="test", languages=["taa"], lm=shards, conditions=["noise:5"], processes=2)["taa"]
    under = found.conditions["noise:5"]
    assert under.greedy is not None and found.searched is not None
    stored = values["languages"]["taa"]["conditions"]["noise:5"]
    assert (under.greedy.cer, under.greedy.wer) == (stored["cer"], stored["wer"])
    assert under.scores.cer != under.greedy.cer


def test_noise_may_come_from_a_folder(run: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 32_000), 16_000)
    flags = ["--languages", "taa", "--conditions", "noise:-5", "--noise", str(tmp_path)]
    assert main(["eval", str(run), *flags, "--output", str(tmp_path / "scores.json")]) == 0
    values = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert values["noise"] == str(tmp_path)
    assert values["languages"]["taa"]["conditions"]["noise:-5"]["change"]["cer"] > 0.05


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--conditions", "rain"], "'rain' is not a condition; choose from noise:20,10,0"),
        (["--conditions", "reverb", "--noise", "."], "no condition uses the recordings of --noise"),
        (["--noise", "."], "no condition uses the recordings of --noise"),
        (["--conditions", "noise", "--noise", "none"], "the noise folder none does not exist"),
        (["--conditions", "overlap", "--split", "dev"], "and no other one to mix into it"),
    ],
)
def test_what_is_wrong_ends_with_2_before_any_work(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], expected: str, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["eval", str(run), *flags]) == 2
    assert expected in capsys.readouterr().err
