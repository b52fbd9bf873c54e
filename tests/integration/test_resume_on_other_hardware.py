"""What a run chose from its hardware is taken over by its restarts and by eval; runs from before go on as they were."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.evaluation.score_run import RunScorer
from mms_dist.evaluation.scoring_options import ScoringOptions
from mms_dist.hardware import base_loading
from mms_dist.hardware.hardware import Hardware, RankHardware
from mms_dist.hardware.hardware_record import KeptSettings, read_kept_settings, write_kept_settings
from mms_dist.hardware.resolve import resolve
from mms_dist.run_directory.paths import HARDWARE_NAME
from mms_dist.training import run as training_run
from tests.corpus import build_toy_shards
from tests.training import final_row, stop_after, toy_config, train

A, B = "taa", "tab"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("hardware"), languages=2, train=8, dev=2)


def left_open(directory: Path, base: Path, shards: Path, **sections: Any) -> Config:
    """A configuration that leaves passes, precision and threads to the hardware."""
    sections = {"optim": {"steps": 6}, "evaluation": {"every_steps": 6}} | sections
    open_sections = {"rounds": {"forward_seconds": None}, "run": {"threads": None}, "data": {"workers": None}}
    return toy_config(directory, base, shards, **(open_sections | sections))


def of_this_machine() -> KeptSettings:
    return KeptSettings(
        dtype="float32",
        attention="padded",
        compile=False,
        forward_seconds=32.0,
        evaluation_seconds=32.0,
        forward_cost_seconds=1.0,
        threads=torch.get_num_threads(),
        processes=1,
        hardware="the CPU",
    )


def test_hardware_choices_are_recorded_and_reused_by_restart_and_eval(
    tmp_path: Path,
    small_base: Path,
    shards: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = left_open(tmp_path, small_base, shards)
    rounds = iter([False] * 3 + [True] * 100)
    assert train(config, stop_requested=lambda: next(rounds)) == "preempted"
    assert read_kept_settings(tmp_path, on_gpu=False) == of_this_machine()
    assert "chosen    model.dtype float32" in capsys.readouterr().out
    begun = KeptSettings(
        dtype="bfloat16",
        attention="padded",
        compile=False,
        forward_seconds=2.0,
        evaluation_seconds=3.0,
        forward_cost_seconds=5.0,
        threads=3,
        processes=1,
        hardware="H100 (9.0)",
    )
    write_kept_settings(tmp_path, begun)
    threads: list[int | None] = []
    for module in (training_run, base_loading):
        monkeypatch.setattr(module, "set_threads", threads.append)
    assert train(config) == "finished"
    told = capsys.readouterr().out
    assert "model.dtype bfloat16" in told and "as when this run began, on H100 (9.0)" in told
    assert "forward passes of up to 2 s" in told and "bfloat16 on cpu" in told
    assert "changed " not in told
    assert threads == [None, 3]
    assert read_kept_settings(tmp_path, on_gpu=False) == begun
    scored = RunScorer(tmp_path, config, ScoringOptions(split="dev")).resolved(torch.device("cpu"))
    assert (scored.dtype, scored.evaluation_seconds, scored.forward_cost_seconds) == ("bfloat16", 3.0, 5.0)
    assert scored.threads == torch.get_num_threads(), "those of the machine that scores"


def test_a_run_from_before_goes_on_bit_for_bit(tmp_path: Path, small_base: Path, shards: Path) -> None:
    whole = left_open(tmp_path / "whole", small_base, shards)
    train(whole)
    before = left_open(tmp_path / "before", small_base, shards)
    stop_after(before, 3)
    settings = yaml.safe_load(before.to_yaml())
    for name in ("attention", "compile", "feature_spill_directory"):
        del settings["model"][name]
    settings["model"]["dtype"], settings["data"]["workers"] = "float32", 2
    (tmp_path / "before" / "config.yaml").write_text(yaml.safe_dump(settings))
    assert train(before) == "finished"
    for language in (A, B):
        assert torch.equal(final_row(tmp_path / "whole", language), final_row(tmp_path / "before", language))
    begun = replace(of_this_machine(), hardware="hardware that was not noted")
    assert json.loads((tmp_path / "before" / HARDWARE_NAME).read_text()) == asdict(begun)


def test_eval_scores_a_packed_compiled_run_where_it_could_not_be_trained(
    tmp_path: Path, small_base: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"attention": "packed", "compile": "off"}
    config = left_open(tmp_path, small_base, shards, model={"dtype": "float32", "feature_cache_gib": 0.0} | asked)
    train(config)
    write_kept_settings(tmp_path, replace(of_this_machine(), attention="packed", compile=True, hardware="H100 (9.0)"))
    results = {result.language: result for result in RunScorer(tmp_path, config, ScoringOptions(split="dev")).results()}
    assert results.keys() == {A, B} and all(result.transcription.keys for result in results.values())
    old = Hardware(on_gpu=True, names=("P100",), capability=(6, 0), free_bytes=14 << 30)
    monkeypatch.setattr(
        "mms_dist.hardware.hardware.inspect_this_rank",
        lambda *_, **__: RankHardware("here", "boot", frozenset({0}), None, 1 << 30, 1 << 30, old),
    )
    for model in (asked, {"attention": "padded", "compile": "on"}, {}):
        other = left_open(tmp_path, small_base, shards, model={"dtype": "float32"} | model)
        with pytest.raises(ConfigError):
            resolve(other, old, kept=read_kept_settings(tmp_path, on_gpu=True))
        scored = RunScorer(tmp_path, other, ScoringOptions(split="dev")).resolved(torch.device("cuda"))
        assert (scored.attention, scored.compile, scored.dtype) == ("padded", False, "float32")


def test_a_choice_that_no_longer_fits_is_refused_with_the_flag_to_set(
    tmp_path: Path, small_base: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = left_open(tmp_path, small_base, shards)
    train(config)
    write_kept_settings(tmp_path, replace(of_this_machine(), dtype="bfloat16", hardware="H100 (9.0)"))
    before = (tmp_path / HARDWARE_NAME).read_bytes()
    t4 = Hardware(on_gpu=True, names=("T4",), capability=(7, 5), free_bytes=14 << 30)
    monkeypatch.setattr(
        "mms_dist.hardware.hardware.inspect_this_rank",
        lambda *_, **__: RankHardware("here", "boot", frozenset({0}), None, 1 << 30, 1 << 30, t4),
    )
    with pytest.raises(ConfigError, match=r"began with model\.dtype bfloat16, on H100.*pass --model\.dtype float32"):
        train(config)
    assert (tmp_path / HARDWARE_NAME).read_bytes() == before
