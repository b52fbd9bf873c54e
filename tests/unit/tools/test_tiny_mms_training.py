"""The training of the shipped base: a matter of steps and not of the clock, and without a trace of being stopped."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Wav2Vec2Model

from tests.unit.tools.test_tiny_mms_corpus import utterance
from tools.tiny_mms.__main__ import main
from tools.tiny_mms.mixture import Mixture, Parts
from tools.tiny_mms.network import PhoneRecognizer, Size, spectral_convolution
from tools.tiny_mms.parts import write_part
from tools.tiny_mms.phones import PhoneInventory
from tools.tiny_mms.training import Course, Trainer

SMALL = Size(32, 2, 2, (8,) * 7)


def trainer(folder: Path, parts: Path, course: Course) -> Trainer:
    """Return a training of a small base on ``parts``."""
    torch.manual_seed(0)
    model = PhoneRecognizer(3, SMALL)
    model.quicken()
    mixture = Mixture(Parts(parts), PhoneInventory(["a", "b"]), {"espeak": 0.5, "noise": 0.5}, 0)
    return Trainer(folder, model, mixture, course)


def test_a_training_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    for source in ("espeak", "noise"):
        write_part(
            tmp_path / "parts" / f"{source}-000", [utterance(8000 + 300 * number, number) for number in range(9)]
        )
    course = Course(
        steps=6, batch_seconds=2.0, warm_up_steps=2, aligned_steps=4, front_end_steps=5, decay_from=3, meet_every=2
    )
    whole = trainer(tmp_path / "whole", tmp_path / "parts", course)
    whole.train(100, lambda _: None)
    first = trainer(tmp_path / "stopped", tmp_path / "parts", course)
    first.train(100, lambda _: None, lambda: first.step >= 2)
    assert first.step == 2
    second = trainer(tmp_path / "stopped", tmp_path / "parts", course)
    second.load()
    second.train(100, lambda _: None)
    assert second.step == whole.step and second.audio_seconds == whole.audio_seconds
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
        assert torch.equal(whole.average[name], second.average[name]), name
        assert torch.isfinite(tensor).all(), name


def test_the_rate_rises_stays_and_falls() -> None:
    course = Course(steps=100, warm_up_steps=10, decay_from=80)
    assert [course.rate(step) for step in (0, 9, 50, 80, 90)] == [0.1, 1.0, 1.0, 1.0, 0.5]


def test_the_spectral_convolution_is_the_convolution() -> None:
    torch.manual_seed(0)
    convolution = torch.nn.Conv1d(32, 32, 128, padding=64, groups=16)
    hidden_BHF = torch.randn(2, 32, 75, requires_grad=True)
    plain, spectral = convolution(hidden_BHF), spectral_convolution(convolution, hidden_BHF)
    assert torch.allclose(plain, spectral, atol=1e-5)
    weights = (hidden_BHF, *convolution.parameters())
    expected, found = (torch.autograd.grad(one.square().sum(), weights, retain_graph=True) for one in (plain, spectral))
    for before, after in zip(expected, found, strict=True):
        assert torch.allclose(before, after, rtol=1e-3, atol=1e-3)


def test_each_stage_of_the_corpus_and_the_training_runs(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="the extra `base` brings the synthesiser: pip install -e '.[base]'")
    texts, parts, tests, state = (f"{tmp_path}/{name}" for name in ("texts", "parts", "tests", "state"))
    trained = f"--state {state} --out {tmp_path}/base --size 192 --steps 2 --batch-seconds 4"
    for command in (
        f"texts --out {texts} --languages cs fi ro ka uk lt",
        f"speak espeak --texts {texts} --parts {parts} --seconds 40",
        f"tests --texts {texts} --tests {tests}",
        f"train --parts {parts} --tests {tests} --processes 2 {trained}",
    ):
        main(command.split())
    row = json.loads((tmp_path / "state" / "curve.jsonl").read_text(encoding="utf-8"))
    assert row["step"] == 2 and row["unseen"] > 0
    first, second = (torch.load(f"{state}/{name}", weights_only=True) for name in ("state.pt", "state-1.pt"))
    assert first["audio_seconds"] == second["audio_seconds"] > 8
    for name, tensor in first["model"].items():
        assert torch.equal(tensor, second["model"][name]), name
    model, report = Wav2Vec2Model.from_pretrained(tmp_path / "base", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model.config.num_hidden_layers == 6
