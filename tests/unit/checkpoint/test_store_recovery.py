"""What a killed run or a copy leaves behind is put right before a run goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.monitor.run_reader import read_run
from tests.checkpoint_samples import adapter_of, assert_same, flip, hidden_names, sample


def test_recovery_moves_last_to_the_newest_checkpoint(store):
    """A kill between a checkpoint's rename and the move of `last`: after the final one, nothing moves it later."""
    store.save(sample(step=1))
    store.save(sample(step=2))
    ron = store.directory / "ron"
    store.point("ron", "last", 1)
    assert store.recover() == [f"pointed {ron / 'last'} to step 2"]
    assert store.pointed("ron", "last") == 2
    store.point("ron", "last", 1)
    flip(adapter_of(store, 2))
    assert store.recover() == [], "a damaged checkpoint is none"
    assert store.pointed("ron", "last") == 1


def test_recovery_removes_leftovers_and_undoes_a_cut_replacement(store):
    store.save(sample(step=1))
    ron = store.directory / "ron"
    (ron / "step-00000001").rename(ron / ".replaced-step-00000001-0123456789ab")
    (ron / ".staging-step-00000001-0123456789ab").mkdir()
    (ron / ".staging-step-00000001-0123456789ab" / "state.json").write_text("{")
    (ron / ".removing-step-00000000-0123456789ab").mkdir()
    (ron / ".last-0123456789ab").symlink_to("step-00000001")
    (store.directory / ".removing-ita-0123456789ab").mkdir()
    (ron / ".mine").write_text("not ours")
    assert store.steps("ron") == []
    assert len(store.recover()) == 5
    assert_same(store.load("ron"), sample(step=1))
    (ron / "last").unlink()
    assert store.recover() == [f"pointed {ron / 'last'} to step 1"]
    assert store.recover() == []
    assert hidden_names(store) == [str(ron / ".mine")]


def run_copied_with_links_followed(tmp_path: Path) -> Path:
    with CheckpointStore(tmp_path / "run" / "adapters", keep=2) as store:
        for step in (1, 2, 3):
            store.save(sample(step=step), best=step == 1)
    return Path(shutil.copytree(tmp_path / "run", tmp_path / "copy", symlinks=False)) / "adapters"


def test_a_run_copied_with_links_followed_is_read_as_the_run(tmp_path: Path) -> None:
    adapters = run_copied_with_links_followed(tmp_path)
    with CheckpointStore(adapters, keep=2) as store:
        assert (store.pointed("ron", "last"), store.pointed("ron", "best")) == (3, 1)
        assert_same(store.load("ron", pointer="best"), sample(step=1))
    summary, _ = read_run(adapters.parent)
    assert [(each.language, each.checkpoint_step) for each in summary.languages] == [("ron", 3)]


def test_a_run_copied_with_links_followed_has_them_again_when_it_goes_on(tmp_path: Path) -> None:
    adapters = run_copied_with_links_followed(tmp_path)
    with CheckpointStore(adapters, keep=2) as store:
        assert [line.split(" to ")[1] for line in store.recover()] == [
            "step 3: it was a copy of that step",
            "step 1: it was a copy of that step",
        ]
        assert store.recover() == []
        store.save(sample(step=4))
        assert (store.pointed("ron", "last"), store.pointed("ron", "best"), store.steps("ron")) == (4, 1, [1, 3, 4])
    assert {name: os.readlink(adapters / "ron" / name) for name in ("last", "best")} == {
        "last": "step-00000004",
        "best": "step-00000001",
    }


def test_a_copy_in_a_pointers_place_replaces_a_damaged_checkpoint(tmp_path: Path) -> None:
    adapters = run_copied_with_links_followed(tmp_path)
    shutil.rmtree(adapters / "ron" / "step-00000001")
    (adapters / "ron" / "step-00000003" / "state.json").write_text("{}")
    with CheckpointStore(adapters, keep=2) as store:
        store.recover()
        assert_same(store.load("ron", pointer="best"), sample(step=1))
        assert_same(store.load("ron", pointer="last"), sample(step=3))
        assert store.damaged == []


def test_a_folder_that_is_no_checkpoint_in_a_pointers_place_is_put_aside(tmp_path: Path) -> None:
    adapters = run_copied_with_links_followed(tmp_path)
    (adapters / "ron" / "last" / "MANIFEST.json").write_text("{}")
    with CheckpointStore(adapters, keep=2) as store:
        store.recover()
        assert (store.pointed("ron", "last"), store.pointed("ron", "best")) == (3, 1)
    assert any(path.name.startswith("damaged-last") for path in (adapters / "ron").iterdir())
