"""Whole runs under DeepSpeed: the adapters of a run without it, on one process."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from mms_dist.config import Config
from mms_dist.training.components import RunComponents
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.launch import Launch
from tests.distributed.ranks import free_port, train_ranks, train_rounds, written
from tests.training import distance, final_row, start_row, toy_config, train

CONFIGS = Path(__file__).parents[2] / "configs" / "deepspeed"
LANGUAGES = toy_languages(5)
STEPS = 12
BOUND = {"float64": 1e-9, "float32": 1e-3}
"""DESIGN I1."""


SCRIPTS = Path(sys.executable).parent  # the launchers lie beside this Python
LAUNCHERS = {
    "accelerate": (
        *("accelerate", "launch", "--use_deepspeed", "--deepspeed_config_file", "{settings}", "--num_machines", "1"),
        *("--num_processes", "2", "--mixed_precision", "no", "--main_process_port", "0", "-m"),
    ),
    "torchrun": ("torchrun", "--standalone", "--nproc-per-node", "2", "-m"),
    "deepspeed": ("deepspeed", "--num_gpus", "2", "--master_port", "{port}", "--module"),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("deepspeed"), languages=5, train=6, dev=2)


def config(directory: Path, base: Path, shards: Path, *, dtype: str = "float64", **sections: Any) -> Config:
    """Five languages on three slots a rank: unequally many from the start, one of them shared, each scored twice."""
    settings: dict[str, Any] = {
        "model": {"dtype": dtype},
        "optim": {"steps": STEPS, "batch_seconds": 2.0},
        "rounds": {"slots": 3},
        "evaluation": {"every_steps": STEPS // 2},
    }
    return toy_config(directory, base, shards, **(settings | sections))


def comm(name: str) -> dict[str, str]:
    return {"deepspeed": str(CONFIGS / f"{name}.json")}


class Alone:
    """What one process without DeepSpeed trains, and where it starts."""

    def __init__(self, directory: Path, base: Path, shards: Path, dtype: str) -> None:
        setting = config(directory / "run", base, shards, dtype=dtype, rounds={"slots": 8})
        train(setting)
        self._bound = BOUND[dtype]
        self._ends = {language: final_row(directory / "run", language) for language in LANGUAGES}
        start_row(directory / "start", LANGUAGES[0], setting)
        self._starts = {language: final_row(directory / "start", language) for language in LANGUAGES}

    def assert_the_same(self, directory: Path) -> None:
        for language in LANGUAGES:
            off = distance(final_row(directory, language), self._ends[language], self._starts[language])
            assert off <= self._bound, f"{language}: {off:.2e}"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, small_base: Path, shards: Path) -> Alone:
    return Alone(tmp_path_factory.mktemp("alone"), small_base, shards, "float64")


@pytest.mark.parametrize("name", ["zero0", "zero1", "zero2", "zero3", "zero3_offload"])
def test_every_stage_trains_what_one_process_trains_without_it(
    name: str, tmp_path: Path, small_base: Path, shards: Path, alone: Alone
) -> None:
    setting = config(tmp_path / "many", small_base, shards, comm=comm(name))
    train_ranks(setting, 2, timeout_seconds=120)
    alone.assert_the_same(tmp_path / "many")


@pytest.mark.parametrize("world", [3, 4])
def test_a_base_sharded_over_more_ranks_than_have_work_trains_the_same(
    world: int, tmp_path: Path, small_base: Path, shards: Path, alone: Alone
) -> None:
    """Some ranks have no language in some rounds, and nothing to score."""
    setting = config(tmp_path / "many", small_base, shards, comm=comm("zero3"))
    train_ranks(setting, world, timeout_seconds=120)
    alone.assert_the_same(tmp_path / "many")


@pytest.mark.parametrize("launcher", sorted(LAUNCHERS))
def test_under_every_launcher_the_base_is_spread_and_trains_the_same(
    launcher: str, tmp_path: Path, small_base: Path, shards: Path, alone: Alone
) -> None:
    settings = comm("zero3")["deepspeed"]
    command = [word.format(port=free_port(), settings=settings) for word in LAUNCHERS[launcher]]
    own = [] if launcher == "accelerate" else ["--comm.deepspeed", settings]
    device = ["--run.device", "cpu", "--comm.processes", "2"]
    with written(config(tmp_path / "many", small_base, shards)) as path:
        whole = [str(SCRIPTS / command[0]), *command[1:], "launcher.train", "--config", str(path), *device, *own]
        with Launch(whole, {"PYTHONPATH": os.pathsep.join(sys.path)}) as launch:
            ended = launch.wait(240)  # three imports of torch on a busy machine
    assert ended.code == 0, ended.log
    assert "deepspeed ZeRO-3: the base's layers are sharded over 2 processes" in ended.log
    alone.assert_the_same(tmp_path / "many")


@pytest.mark.parametrize("attention", ["padded", "packed"])
def test_activation_checkpointing_in_float32_trains_the_same(
    tmp_path: Path, small_base: Path, shards: Path, attention: str
) -> None:
    model = {"dtype": "float32", "activation_checkpointing": True, "attention": attention}
    setting = config(tmp_path / "many", small_base, shards, model=model, comm=comm("zero3"))
    train_ranks(setting, 2, timeout_seconds=120)
    Alone(tmp_path / "alone", small_base, shards, "float32").assert_the_same(tmp_path / "many")


def test_a_run_may_switch_to_deepspeed_and_back(tmp_path: Path, small_base: Path, shards: Path, alone: Alone) -> None:
    """3 sharded ranks, then 2 with the base whole, then 2 sharded ones: a checkpoint is nobody's but its language's."""
    plain = config(tmp_path / "many", small_base, shards)
    sharded = config(tmp_path / "many", small_base, shards, comm=comm("zero3"))
    train_rounds(sharded, 3, rounds=3)
    train_rounds(plain, 2, rounds=4)
    train_ranks(sharded, 2, timeout_seconds=120)
    alone.assert_the_same(tmp_path / "many")


def die_on_the_way(components: RunComponents, notes: dict[str, Any]) -> None:
    """A `Watch`: rank 1 is killed within the second layer of a pass, while rank 0 is in the same layer's collective."""
    if components.loop.round == 3 and os.environ["RANK"] == "1":
        components.base.layers[1].register_forward_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def test_a_rank_that_dies_within_a_pass_ends_all_and_the_run_resumes(
    tmp_path: Path, small_base: Path, shards: Path, alone: Alone
) -> None:
    setting = config(tmp_path / "many", small_base, shards, comm=comm("zero3"))
    watch = "tests.distributed.test_deepspeed_training:die_on_the_way"
    ended = train_ranks(setting, 2, watch=watch, expect=None, timeout_seconds=60)
    assert ended.codes == [1, -signal.SIGKILL], ended.told()
    assert "rank 0 of 2 lost a peer while waiting for a pass of all ranks" in ended.logs[0]
    train_ranks(setting, 2, timeout_seconds=120)
    alone.assert_the_same(tmp_path / "many")


def test_a_run_says_what_deepspeed_does(tmp_path: Path, small_base: Path, shards: Path) -> None:
    said = {}
    for name in ("zero2", "zero3"):
        setting = config(tmp_path / name, small_base, shards, comm=comm(name))
        said[name] = train_ranks(setting, 2, timeout_seconds=120).logs[0]
    assert "deepspeed ZeRO-2: every process keeps the whole base" in said["zero2"]
    assert "deepspeed ZeRO-3: the base's layers are sharded over 2 processes" in said["zero3"]


def test_an_option_that_a_frozen_base_cannot_use_is_refused_with_a_fix(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    own = json.loads((CONFIGS / "zero3.json").read_text()) | {"optimizer": {"type": "AdamW"}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    setting = config(tmp_path / "many", small_base, shards, comm={"deepspeed": str(tmp_path / "own.json")})
    ended = train_ranks(setting, 2, expect=2)
    assert "found a section optimizer, expected none" in ended.logs[0]
