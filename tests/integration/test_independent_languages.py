"""I6 between languages: one can be added, removed, rolled back or started anew, and no file of another changes."""

from pathlib import Path

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.monitor.events import read_events
from tests.corpus import build_toy_shards
from tests.training import final_row, toy_config, train

A, B, C = "taa", "tab", "tac"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("independent"), languages=3, train=8, dev=2)


def files_of(directory: Path, *languages: str) -> dict[Path, bytes]:
    return {
        path: path.read_bytes()
        for language in languages
        for path in (directory / "adapters" / language).rglob("*")
        if path.is_file()
    }


def admitted(directory: Path, after: int = 0) -> list[str]:
    events = list(read_events(directory / "events.jsonl"))[after:]
    return [event["language"] for event in events if event["kind"] == "admitted"]


def test_adding_a_language_to_a_finished_run_trains_only_that_one(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    train(toy_config(tmp_path, small_base, shards, data={"languages": [A, B]}))
    before, told = files_of(tmp_path, A, B), len(list(read_events(tmp_path / "events.jsonl")))
    train(toy_config(tmp_path, small_base, shards, data={"languages": [A, B, C]}))
    assert files_of(tmp_path, A, B) == before
    assert admitted(tmp_path, told) == [C]
    assert (tmp_path / "adapters" / C / "last").resolve().name == "step-00000012"


def test_a_deleted_language_is_retrained_alone_to_the_same_adapter(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = toy_config(tmp_path, small_base, shards, model={"dtype": "float64"})
    train(config)
    row, before = final_row(tmp_path, B), files_of(tmp_path, A, C)
    with CheckpointStore(tmp_path / "adapters", keep=2) as store:
        store.delete(B)
    train(config)
    assert files_of(tmp_path, A, C) == before
    assert float((final_row(tmp_path, B) - row).norm() / row.norm()) <= 1e-12


def test_a_language_rolled_back_goes_on_from_there_and_the_others_rest(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    config = toy_config(tmp_path, small_base, shards, checkpoint={"every_rounds": 4, "keep": 9})
    train(config)
    row, before = final_row(tmp_path, B), files_of(tmp_path, A, C)
    with CheckpointStore(tmp_path / "adapters", keep=9) as store:
        store.roll_back(B, 8)
    train(config)
    assert final_row(tmp_path, B).equal(row)
    assert files_of(tmp_path, A, C) == before


def test_more_steps_reopen_a_finished_language(tmp_path: Path, small_base: Path, shards: Path) -> None:
    train(toy_config(tmp_path, small_base, shards))
    own = {B: {"optim": {"steps": 15}}}
    train(toy_config(tmp_path, small_base, shards, languages=own))
    assert (tmp_path / "adapters" / B / "last").resolve().name == "step-00000015"
    assert (tmp_path / "adapters" / A / "last").resolve().name == "step-00000012"


def test_a_language_without_a_whole_checkpoint_is_quarantined_alone(
    tmp_path: Path, small_base: Path, shards: Path
) -> None:
    left = iter(range(6))
    train(toy_config(tmp_path, small_base, shards), stop_requested=lambda: next(left, None) is None)
    for path in (tmp_path / "adapters" / B).glob("step-*/state.json"):
        path.write_text("{}")
    train(toy_config(tmp_path, small_base, shards))
    assert (tmp_path / "adapters" / A / "last").resolve().name == "step-00000012"
    events = list(read_events(tmp_path / "events.jsonl"))
    assert [event["language"] for event in events if event["kind"] == "quarantined"] == [B]


def test_early_stopping_ends_one_language_and_its_best_stays(tmp_path: Path, small_base: Path, shards: Path) -> None:
    own = {B: {"stopping": {"patience": 1}, "optim": {"lr": 1e-12}}}
    config = toy_config(tmp_path, small_base, shards, languages=own, evaluation={"every_steps": 3})
    train(config)
    finished = {
        event["language"]: (event["step"], event["reason"])
        for event in read_events(tmp_path / "events.jsonl")
        if event["kind"] == "finished"
    }
    assert finished[B] == (3, "early_stop")
    assert finished[A] == (12, "steps")
    assert (tmp_path / "adapters" / B / "best").resolve().name == "step-00000000"
