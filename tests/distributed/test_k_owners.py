"""I2, I3, I5 and I7 with every number of owners: k of 2 and of 4 ranks share every language."""

from pathlib import Path
from typing import Any

import pytest

from mms_dist.config import Config
from mms_dist.training.census import take_census
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.ranks import Ended, run_ranks, written
from tests.distributed.test_elastic import assert_whole_epochs, batches
from tests.training import final_row, toy_config

A, B, C = LANGUAGES = toy_languages(3)
OWNERS = [(2, 1), (2, 2), (4, 1), (4, 2), (4, 3), (4, 4)]
NOTE = "tests.distributed.placements:note_rounds"
PREEMPTED = 75

pytestmark = pytest.mark.parametrize(("world", "owners"), OWNERS, ids=[f"{k} of {w}" for w, k in OWNERS])


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("k-owners"), languages=3, train=6, dev=2)


def setting(directory: Path, base: Path, shards: Path, **languages: dict[str, Any]) -> Config:
    return toy_config(
        directory,
        base,
        shards,
        optim={"steps": 12, "batch_seconds": 2.0},
        languages={B: languages} if languages else {},
    )


def run(config: Config, world: int, owners: int, **notes: Any) -> Ended:
    """Train with every language owned by the last `owners` ranks."""
    with written(config) as path:
        given = {"config": str(path), "block": (world - owners, owners), "watch": NOTE} | notes
        expect = PREEMPTED if "rounds" in notes else 0
        return run_ranks(world, "tests.distributed.placements:train_with_owners", given, expect=expect)


def rows_are_equal(left: Path, right: Path, languages: list[str]) -> bool:
    return all(bool((final_row(left, code) == final_row(right, code)).all()) for code in languages)


def test_another_languages_learning_rate_changes_no_bit(
    tmp_path: Path, small_base: Path, shards: Path, world: int, owners: int
) -> None:
    run(setting(tmp_path / "plain", small_base, shards), world, owners)
    run(setting(tmp_path / "changed", small_base, shards, optim={"lr": 1e-1}), world, owners)
    assert rows_are_equal(tmp_path / "plain", tmp_path / "changed", [A, C])
    assert not rows_are_equal(tmp_path / "plain", tmp_path / "changed", [B])


def test_a_language_that_has_left_keeps_every_bit_while_others_go_on(
    tmp_path: Path, small_base: Path, shards: Path, world: int, owners: int
) -> None:
    early = {"optim": {"steps": 5, "warmup_steps": 1}}
    run(setting(tmp_path / "on", small_base, shards, **early), world, owners)
    run(setting(tmp_path / "stopped", small_base, shards, **early), world, owners, rounds=5)
    assert rows_are_equal(tmp_path / "on", tmp_path / "stopped", [B])


def test_a_stopped_run_reads_every_utterance_once_and_ends_bit_for_bit_as_the_whole_one(
    tmp_path: Path, small_base: Path, shards: Path, world: int, owners: int
) -> None:
    whole, stopped = (setting(tmp_path / name, small_base, shards) for name in ("whole", "stopped"))
    expected = batches(run(whole, world, owners))
    read = batches(run(stopped, world, owners, rounds=5)) | batches(run(stopped, world, owners))
    assert read == expected and len(take_census(whole)[1]) == len(LANGUAGES)
    assert_whole_epochs(read, whole, begun=2)
    assert rows_are_equal(tmp_path / "whole", tmp_path / "stopped", LANGUAGES)
