"""DeepSpeed JSONs and launchers' wishes: what is taken, and what is refused with its fix."""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from mms_dist.distributed.accelerator import make_accelerator
from mms_dist.distributed.deepspeed_package import REQUIREMENT, wants_deepspeed
from mms_dist.distributed.deepspeed_settings import fill_in_settings, read_settings, refuse_settings
from mms_dist.errors import ConfigError

CONFIGS = Path(__file__).parents[3] / "configs" / "deepspeed"


def settings(**changes: Any) -> dict[str, Any]:
    return {"zero_optimization": {"stage": 3}} | changes


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_the_shipped_files_are_taken_and_name_their_stage(path: Path) -> None:
    shipped = read_settings(str(path))
    refuse_settings(shipped, path.name)
    assert shipped["zero_optimization"]["stage"] == int(path.stem.removeprefix("zero")[0])
    assert "auto" not in path.read_text()


def test_all_stages_are_shipped() -> None:
    assert {path.stem for path in CONFIGS.glob("*.json")} == {"zero0", "zero1", "zero2", "zero3", "zero3_offload"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json' cannot be read .*; use one like configs/deepspeed"):
        read_settings(str(tmp_path / "absent.json"))


@pytest.mark.parametrize(
    ("text", "expected"), [("{", "is not valid JSON"), ("[]", "zero_optimization"), ("{}", "has no")]
)
def test_a_file_of_something_else_is_named(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        read_settings(str(path))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fp16": {"enabled": True}}, r"fp16 is enabled.*model\.dtype bfloat16"),
        ({"optimizer": {"type": "AdamW"}}, "found a section optimizer, expected none"),
        ({"scheduler": {"type": "WarmupLR"}}, "found a section scheduler, expected none"),
        ({"zero_optimization": {"stage": 4}}, r"stage 4, expected 0, 1, 2 or 3"),
        ({"zero_optimization": {}}, r"stage None, expected"),
        ({"zero_optimization": {"stage": 3, "zero_quantized_weights": True}}, "zero_quantized_weights"),
    ],
)
def test_what_a_frozen_base_has_no_use_for_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        refuse_settings(settings(**changes), "zero.json")


def test_a_file_written_for_a_trainer_elsewhere_is_settled() -> None:
    """`auto`, and batch sizes that fit another world, are of no consequence here."""
    found = settings(
        train_batch_size=256,
        train_micro_batch_size_per_gpu="auto",
        gradient_accumulation_steps=8,
        fp16={"enabled": "auto", "loss_scale": 0},
        zero_optimization={"stage": 3, "reduce_bucket_size": "auto", "stage3_prefetch_bucket_size": 5},
    )
    refuse_settings(found, "zero.json")
    fill_in_settings(found)
    assert found == {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "fp16": {"loss_scale": 0},
        "zero_optimization": {"stage": 3, "stage3_prefetch_bucket_size": 5, "memory_efficient_linear": False},
    }


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("ACCELERATE_MIXED_PRECISION", "fp16", r"mixed_precision is 'fp16', expected no or bf16.*--mixed_precision"),
        ("ACCELERATE_MIXED_PRECISION", "fp8", r"mixed_precision is 'fp8', expected no or bf16.*--mixed_precision"),
        ("ACCELERATE_USE_FSDP", "true", "asks for FSDP.*--use_deepspeed"),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "asks for Megatron-LM"),
    ],
)
def test_what_accelerate_is_asked_for_and_cannot_be_had_is_refused(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=expected):
        make_accelerator(torch.device("cpu"))


def test_two_different_deepspeed_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", "a.json")
    with pytest.raises(ConfigError, match=r"comm\.deepspeed is 'b\.json'.*'a\.json', expected one"):
        make_accelerator(torch.device("cpu"), "b.json")


@pytest.mark.parametrize(("path", "said", "expected"), [(None, "", False), ("a.json", "", True), (None, "true", True)])
def test_deepspeed_is_wanted_by_configuration_or_launcher(path: str | None, said: str, expected: bool) -> None:
    assert wants_deepspeed(path, {"ACCELERATE_USE_DEEPSPEED": said} if said else {}) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"zero_optimization": {"stage": 3},\n"zero_optimization": {"stage": 0}}', "given twice, in lines 1 and 2"),
        ('{"zero_optimization": {"stage": 3, "stage": 0}}', "'stage' is given twice"),
        ('{"zero_optimization": {"stage": NaN}}', "found NaN"),
        ("[" * 100_000, "nested too deeply"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_what_a_deepspeed_json_gives_twice_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ds.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=message):
        read_settings(str(path))


@pytest.mark.parametrize("stage", [True, "3", 1.0, None])
def test_a_stage_is_a_number(stage: object) -> None:
    with pytest.raises(ConfigError, match="expected 0, 1, 2 or 3"):
        refuse_settings({"zero_optimization": {"stage": stage}}, "ds.json")


@pytest.mark.parametrize(
    ("ours", "asked"),
    [
        (str(CONFIGS / "zero3.json"), r"comm\.deepspeed is '.*zero3\.json'"),
        (None, "accelerate launch --use_deepspeed asks for DeepSpeed"),
    ],
)
@pytest.mark.parametrize(
    ("statement", "found", "fix"),
    [
        (None, "is not installed", r"pip install 'deepspeed>="),
        ("raise RuntimeError('CUDA_HOME\\nis missing')", r"\(RuntimeError: CUDA_HOME\)", "-c 'import deepspeed' work"),
        ("import no_such_module", "No module named 'no_such_module'", "-c 'import deepspeed' work"),
    ],
)
def test_a_setting_that_needs_a_missing_deepspeed_is_refused(
    ours: str | None,
    asked: str,
    statement: str | None,
    found: str,
    fix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DS_ACCELERATOR", "ACCELERATE_TORCH_DEVICE", "ACCELERATE_USE_CPU"):
        monkeypatch.setenv(name, "cpu")  # so that what is left in them goes again
    if ours is None:
        monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    if statement is None:
        monkeypatch.setitem(sys.modules, "deepspeed", None)
    else:
        (tmp_path / "deepspeed.py").write_text(statement)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "deepspeed", raising=False)
    without = "leave out comm.deepspeed" if ours else "start with --multi_gpu instead"
    with pytest.raises(ConfigError, match=rf"{asked}, but .* {found}.*; .*{fix}.*, or {without}"):
        make_accelerator(torch.device("cpu"), ours)
    assert "RANK" not in os.environ


def test_the_requirement_in_messages_is_that_of_the_project() -> None:
    document = tomllib.loads((CONFIGS.parents[1] / "pyproject.toml").read_text())
    assert REQUIREMENT in document["project"]["dependencies"]
