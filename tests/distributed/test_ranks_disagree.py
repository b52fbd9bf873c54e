"""Ranks that were not started for the same run do not train."""

import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from launcher import cli
from mms_dist.errors import TrainingError
from mms_dist.run_directory.status_file import Attempt
from tests.corpus import build_toy_shards
from tests.distributed.ranks import run_ranks, written
from tests.distributed.worker import Notes
from tests.training import toy_config


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("disagree"), languages=2, train=6, dev=2)


def train_differently(notes: Notes) -> int:
    """Rank 1 has further settings."""
    extra = notes["extra"] if os.environ["RANK"] == "1" else []
    return cli.main(["train", "--config", notes["config"], *extra])


def run_differently(directory: Path, base: Path, shards: Path, *extra: str, expect: int) -> list[str]:
    with written(toy_config(directory, base, shards, optim={"steps": 2, "warmup_steps": 1})) as path:
        notes = {"config": str(path), "extra": list(extra)}
        target = "tests.distributed.test_ranks_disagree:train_differently"
        return run_ranks(2, target, notes, expect=expect).logs


@pytest.mark.parametrize("setting", [("--run.seed", "7"), ("--optim.lr", "1e-2"), ("--rounds.slots", "1")])
def test_a_rank_with_another_setting_is_named_and_nobody_trains(
    tmp_path: Path, small_base: Path, shards: Path, setting: tuple[str, str]
) -> None:
    logs = run_differently(tmp_path / "run", small_base, shards, *setting, expect=2)
    assert setting[0].removeprefix("--") in logs[1] and "same command" in logs[1]
    assert not (tmp_path / "run" / "adapters").exists()


def test_a_rank_with_other_shards_is_named_and_nobody_trains(tmp_path: Path, small_base: Path, shards: Path) -> None:
    others = build_toy_shards(tmp_path / "others", languages=2, train=6, dev=2, seed=1)
    logs = run_differently(tmp_path / "run", small_base, shards, "--data.shards", str(others), expect=2)
    assert "the shards of taa" in logs[1] and "same files" in logs[1]
    assert not (tmp_path / "run" / "adapters").exists()


def test_a_rank_with_one_other_weight_is_named_and_nobody_trains(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    other = shutil.copytree(small_base, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    weights[sorted(name for name in weights if "layers.0" in name)[0]].view(-1)[0] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    logs = run_differently(tmp_path / "run", small_base, shards, "--model.base", str(other), expect=2)
    assert "the weights of model.base" in logs[1] and "same files" in logs[1]
    assert not (tmp_path / "run" / "adapters").exists()


def test_ranks_may_read_and_compute_with_other_threads(tmp_path: Path, small_base: Path, shards: Path) -> None:
    run_differently(tmp_path / "run", small_base, shards, "--data.workers", "3", "--run.threads", "2", expect=0)


def train_where_the_end_cannot_be_written(notes: Notes) -> int:
    """As on a disk that is full at the very end; only rank 0 writes it."""

    def refuse(self: Attempt, state: str, **fields: object) -> None:
        raise TrainingError("cannot write status.json: No space left on device; free space there")

    if os.environ["RANK"] == "0":
        Attempt.finish = refuse  # type: ignore[method-assign]
    return cli.main(["train", "--config", notes["config"]])


def test_all_ranks_end_alike_where_the_first_cannot_write_the_end(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    with written(toy_config(tmp_path / "run", small_base, shards, optim={"steps": 2, "warmup_steps": 1})) as path:
        target = "tests.distributed.test_ranks_disagree:train_where_the_end_cannot_be_written"
        logs = run_ranks(2, target, {"config": str(path)}, expect=2).logs
    assert "No space left on device" in logs[0] and "Traceback" not in logs[0] + logs[1]
