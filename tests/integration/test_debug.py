"""`mms-dist debug` passes a sound system, and each of its checks fails a broken one."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from launcher.cli import main
from mms_dist.debugging.checks.independence import same_bits
from mms_dist.model.base import FrozenBase
from mms_dist.model.optimizer import RowAdamW
from mms_dist.model.packed_tables import BLOCK
from mms_dist.training.gradients import GradientPass
from tests.corpus import build_toy_shards


@pytest.fixture(scope="module")
def config(small_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("debug")
    shards = build_toy_shards(folder, languages=3, train=8, dev=2)
    values = {
        "run": {"directory": str(folder / "run")},
        "model": {"base": str(small_base)},
        "data": {"shards": str(shards), "workers": 0},
        "optim": {"lr": 1e-2, "weight_decay": 0.01},
        "languages": {"tac": {"optim": {"lr": 5e-3}}},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def debug(config: Path, *flags: str, status: int, quick: bool = True) -> dict[str, Any]:
    """Run the command, and give back its JSON."""
    report = config.parent / "report.json"
    least = {"--utterances": "2", "--rounds": "1", "--overfit-steps": "1"} if quick else {}
    least = {flag: value for flag, value in least.items() if flag not in flags}
    given = [word for flag in least.items() for word in flag]
    assert main(["debug", "--config", str(config), "--json", str(report), *given, *flags]) == status
    return dict(json.loads(report.read_text(encoding="utf-8")))


def statuses(report: dict[str, Any], invariant: str) -> list[str]:
    return [check["status"] for check in report["checks"] if check["invariant"] == invariant]


def test_a_sound_system_passes_every_check_and_leaves_the_run_untouched(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = debug(config, status=0, quick=False)
    assert {check["status"] for check in report["checks"]} == {"passed"}
    assert {check["invariant"] for check in report["checks"]} >= {"I1", "I2", "I3", "I4", "I8", "learn"}
    assert not (config.parent / "run").exists()
    assert [line["language"] for line in report["languages"]] == ["taa", "tab", "tac"]
    assert len(report["rounds"]) == 3
    printed = capsys.readouterr().out
    for title in ("Plan", "Rounds", "Shapes", "Route", "Memory", "Gradients", "Transcripts", "Checks", "Overfit"):
        assert f"\n{title}" in printed
    assert max(map(len, printed.splitlines())) <= 120


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_every_precision_of_the_base_is_held_to_float32_bounds_or_better(config: Path, dtype: str) -> None:
    report = debug(config, "--model.dtype", dtype, status=1)  # one step is too few to learn by heart
    assert {check["status"] for check in report["checks"] if check["invariant"] != "learn"} == {"passed"}
    (alone,) = (check for check in report["checks"] if check["invariant"] == "I1")
    assert ("float32" if dtype == "bfloat16" else "float64") in alone["measured"]


def test_packed_passes_pass_every_check_and_others_move_no_gradient_bit(config: Path) -> None:
    report = debug(config, "--model.attention", "packed", status=1)  # one step is too few to learn by heart
    assert {check["status"] for check in report["checks"] if check["invariant"] != "learn"} == {"passed"}
    (alone,) = (check for check in report["checks"] if check["invariant"] == "I1")
    assert alone["measured"].startswith("distance 0e+00")
    shapes = {stage["name"]: stage["shape"] for stage in report["shapes"]}
    assert shapes["hidden"][1] == BLOCK and shapes["bottleneck"][:2] == shapes["hidden"][:2]
    (kept,) = (line for line in report["memory"] if line["name"] == "activations")
    assert "s of audio with filler" in kept["meaning"]


def test_with_one_language_the_checks_that_need_two_are_named_as_skipped(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = debug(config, "--languages", "tab", status=1)
    assert statuses(report, "I1") + statuses(report, "I2") + statuses(report, "I3") == ["not run"] * 5
    assert set(statuses(report, "I4") + statuses(report, "I8")) == {"passed"}
    assert "5 not run" in capsys.readouterr().out


Fault = Callable[[pytest.MonkeyPatch], None]


def gradients_mixed(patch: pytest.MonkeyPatch) -> None:
    """A little of every language's gradient reaches all others."""
    sound = GradientPass.accumulate

    def accumulate(self: GradientPass, *args: Any) -> Any:
        losses = sound(self, *args)
        grads_SR = self._model.bank.grads
        grads_SR += 1e-3 * grads_SR.sum(0, keepdim=True)
        return losses

    patch.setattr(GradientPass, "accumulate", accumulate)


def losses_weighted_by_company(patch: pytest.MonkeyPatch) -> None:
    """The mean is taken over all utterances of the round."""
    sound = GradientPass.accumulate

    def accumulate(self: GradientPass, batches: Sequence[Any], active_languages: Any) -> Any:
        losses = sound(self, batches, active_languages)
        self._model.bank.grads /= sum(len(batch.utterances) for batch in batches)
        return losses

    patch.setattr(GradientPass, "accumulate", accumulate)


def clipped_together(patch: pytest.MonkeyPatch) -> None:
    """One norm over all languages, as common trainers clip."""
    sound = RowAdamW.step_rows

    def step_rows(self: RowAdamW, rows: Sequence[Any]) -> Any:
        self.bank.grads /= self.bank.grads.norm().clamp(min=1)
        return sound(self, rows)

    patch.setattr(RowAdamW, "step_rows", step_rows)


def absent_decayed(patch: pytest.MonkeyPatch) -> None:
    """Weight decay takes all rows."""
    sound = RowAdamW.step_rows

    def step_rows(self: RowAdamW, rows: Sequence[Any]) -> Any:
        self.bank.rows.detach().mul_(1 - 1e-6)
        return sound(self, rows)

    patch.setattr(RowAdamW, "step_rows", step_rows)


def base_moved(patch: pytest.MonkeyPatch) -> None:
    """A step writes one number of the base."""
    sound = GradientPass.accumulate

    def accumulate(self: GradientPass, *args: Any) -> Any:
        next(self._model.base.module.parameters()).flatten()[0] += 1e-3
        return sound(self, *args)

    patch.setattr(GradientPass, "accumulate", accumulate)


def base_not_frozen(patch: pytest.MonkeyPatch) -> None:
    """Gradients are wanted for the base."""
    sound = FrozenBase.load

    def load(*args: Any, **kwargs: Any) -> FrozenBase:
        base = sound(*args, **kwargs)
        base.layers[0].requires_grad_(True)
        return base

    patch.setattr(FrozenBase, "load", load)


def file_differs(patch: pytest.MonkeyPatch) -> None:
    """What is written is not what was trained."""
    from mms_dist.debugging.checks import interoperable

    sound = interoperable.write_adapter

    def write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
        sound(path, {name: tensor + 1e-3 for name, tensor in tensors.items()})

    patch.setattr(interoperable, "write_adapter", write)


def gradient_dropped(patch: pytest.MonkeyPatch) -> None:
    """The layer norms get no gradient."""
    sound = GradientPass.accumulate

    def accumulate(self: GradientPass, *args: Any) -> Any:
        losses = sound(self, *args)
        self._model.bank.grads[:, : self._model.bank.layout.kind_sizes[0]] = 0
        return losses

    patch.setattr(GradientPass, "accumulate", accumulate)


@pytest.mark.parametrize(
    ("fault", "invariant", "claim"),
    [
        (gradients_mixed, "I2", "NaN in one language"),
        (gradients_mixed, "I1", "alone and with the others"),
        (losses_weighted_by_company, "I2", "three times the audio"),
        (clipped_together, "I2", "clipping"),
        (absent_decayed, "I3", "absent"),
        (base_moved, "I4", "the base does not change"),
        (base_not_frozen, "I4", "below the lowest adapter"),
        (base_not_frozen, "I4", "the languages' rows and nothing else"),
        (file_differs, "I8", "Hugging Face"),
        (gradient_dropped, "grad", "every tensor"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_broken_invariant_fails_its_check(
    config: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, invariant: str, claim: str
) -> None:
    fault(monkeypatch)
    report = debug(config, status=1)
    (check,) = (c for c in report["checks"] if c["invariant"] == invariant and claim in c["claim"])
    assert check["status"] == "failed", check


def test_a_diverging_language_fails_the_rounds_and_no_check_of_the_others(config: Path) -> None:
    report = debug(config, "--languages.tab.optim.lr", "1e9", "--rounds", "3", status=1)
    (loop,) = (check for check in report["checks"] if check["invariant"] == "loop")
    assert loop["status"] == "failed" and "tab" in loop["measured"] and "quarantined" in loop["measured"]
    assert {check["status"] for check in report["checks"] if check["invariant"] in ("I1", "I2", "I3", "I4")} == {
        "passed"
    }
    assert "tac" in report["rounds"][-1]["losses"] and "tab" not in report["rounds"][-1]["losses"]


def test_a_base_that_cannot_learn_fails_and_names_the_languages(config: Path) -> None:
    report = debug(config, "--overfit-steps", "2", status=1)
    (check,) = (check for check in report["checks"] if check["invariant"] == "learn")
    assert check["status"] == "failed" and "taa" in check["measured"]


def test_a_device_that_does_not_repeat_itself_is_told_from_interference() -> None:
    clean = torch.ones(2, 8, dtype=torch.float64)
    assert same_bits(clean, clean, clean)[0]
    assert not same_bits(clean, clean, clean + 1e-15)[0]
    assert same_bits(clean, clean + 1e-7, clean - 1e-7)[0]
    assert not same_bits(clean, clean + 1e-7, clean + 1e-3)[0]
    assert not same_bits(clean, clean + 1e-7, clean * float("nan"))[0]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--languages", "taa,xyz"], "'xyz'"),
        (["--device", "cuda:9"], "cuda:9"),
        (["--optim.lrr", "1"], "did you mean 'lr'"),
        (["--model.base", "/nowhere"], "/nowhere"),
        (["--data.shards", "/nowhere"], "/nowhere"),
        (["--utterances", "0"], "expected a whole number of 1 or more"),
    ],
)
def test_an_error_that_a_user_can_fix_ends_with_status_2(
    config: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: str
) -> None:
    assert main(["debug", "--config", str(config), *flags]) == 2
    assert told in capsys.readouterr().err
