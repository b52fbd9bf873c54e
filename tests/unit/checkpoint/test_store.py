"""Every language's checkpoints are whole, kept and moved on their own."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading

import pytest
import torch

from mms_dist.checkpoint.language_folder import LanguageFolder
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError
from tests.checkpoint_samples import adapter_of, assert_same, flip, hidden_names, nested_vocabulary, sample


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_snapshot_comes_back_bit_for_bit(store, dtype):
    saved = sample(step=7, dtype=dtype)
    path = store.save(saved)
    assert path == store.directory / "ron" / "step-00000007"
    assert {p.name for p in path.iterdir()} == {
        "adapter.ron.safetensors", "optimizer.safetensors", "state.json", "vocab.json", "MANIFEST.json",
    }  # fmt: skip
    for loaded in (
        store.load("ron"),
        store.load("ron", step=7),
        store.load("ron", pointer="last"),
        store.newest("ron"),
    ):
        assert_same(loaded, saved)
        loaded.adapter["lm_head.bias"].add_(1)  # Loaded tensors are the caller's to write.
    assert hidden_names(store) == []


def test_a_rows_unused_tail_is_not_saved(store):
    row = torch.arange(1000.0)
    store.save(dataclasses.replace(sample(), optimizer={"exp_avg": row[:10]}))
    assert (store.directory / "ron/step-00000001/optimizer.safetensors").stat().st_size < 1000
    assert torch.equal(store.load("ron").optimizer["exp_avg"], row[:10])


def test_a_language_without_checkpoints_has_no_newest_and_cannot_be_loaded(store):
    assert store.newest("ron") is None
    assert store.languages() == []
    store.save(sample("ita"))
    assert store.languages() == ["ita"]
    with pytest.raises(CheckpointError, match=r"no checkpoint of ron .* choose one of \['ita'\]"):
        store.load("ron")
    with pytest.raises(CheckpointError, match=r"no step 5 of ita .* choose one of \[1\]"):
        store.load("ita", step=5)
    with pytest.raises(CheckpointError, match=r"no pointer 'best'; use 'last': none was evaluated yet"):
        store.load("ita", pointer="best")


def test_retention_keeps_the_newest_and_the_best(store):
    for step in range(1, 7):
        store.save(sample(step=step), best=step == 2)
    assert store.steps("ron") == [2, 5, 6]
    assert store.load("ron", pointer="best").step == 2
    assert store.load("ron", pointer="last").step == 6
    assert os.readlink(store.directory / "ron" / "last") == "step-00000006"
    store.point("ron", "best", 5)
    store.save(sample(step=7))
    assert store.steps("ron") == [5, 6, 7]


def test_retention_counts_whole_ones_only_and_keeps_the_damaged_aside(store):
    store.save(sample(step=1))
    store.save(sample(step=2))
    flip(adapter_of(store, 2))
    store.save(sample(step=3))
    assert store.steps("ron") == [1, 3]
    assert (store.directory / "ron" / "damaged-step-00000002").is_dir()
    assert [d.path for d in store.damaged] == [adapter_of(store, 2)]


def test_retention_never_deletes_the_only_good_one(tmp_path, monkeypatch):
    with CheckpointStore(tmp_path, keep=1) as store:
        store.save(sample(step=1))
        point = LanguageFolder.point

        def point_and_rot(self, name, step):
            point(self, name, step)
            flip(adapter_of(store, 2))

        monkeypatch.setattr(LanguageFolder, "point", point_and_rot)
        store.save(sample(step=2))
        assert store.newest("ron").step == 1


@pytest.mark.parametrize("pointer", [None, "last", "best"])
def test_a_damaged_checkpoint_is_named_and_the_newest_whole_one_is_used(store, pointer):
    store.save(sample(step=1))
    store.save(sample(step=2), best=True)
    flip(adapter_of(store, 2))
    assert_same(store.load("ron", pointer=pointer), sample(step=1))
    assert [(d.path, d.reason) for d in store.damaged] == [
        (adapter_of(store, 2), "does not have the SHA-256 in the manifest")
    ]
    store.load("ron", pointer=pointer)
    assert len(store.damaged) == 1
    with pytest.raises(CheckpointError, match=r"step 2 of ron is damaged: .*adapter.ron.safetensors.*choose another"):
        store.load("ron", step=2)
    with pytest.raises(CheckpointError, match=r"step 2 of ron is damaged"):
        store.point("ron", "best", 2)


def test_a_hanging_pointer_is_named_and_survived(store):
    store.save(sample(step=1))
    (store.directory / "ron" / "best").symlink_to("step-00000099")
    assert store.load("ron", pointer="best").step == 1
    assert "step-00000099, which does not exist" in str(store.damaged[0])


def test_when_none_is_whole_the_error_names_each_and_the_fix(store):
    for step in (1, 2):
        store.save(sample(step=step))
        flip(adapter_of(store, step))
    for ask in (store.load, store.newest):
        with pytest.raises(
            CheckpointError, match=r"step-00000002.*step-00000001.*restore one from a backup, or remove"
        ):
            ask("ron")


def test_saving_a_step_again_yields_the_new_one_whole(store):
    store.save(sample(step=1))
    store.save(sample(step=2, seed=10), best=True)
    again = sample(step=2, seed=11)
    store.save(again)
    assert_same(store.load("ron", step=2), again)
    assert store.steps("ron") == [1, 2]
    assert hidden_names(store) == []


def test_saving_the_same_snapshot_again_changes_no_file(store):
    path = store.save(sample(step=2))
    before = {p.name: p.stat().st_mtime_ns for p in path.iterdir()}
    store.save(sample(step=2))
    assert {p.name: p.stat().st_mtime_ns for p in path.iterdir()} == before


def test_saving_over_a_damaged_step_keeps_the_damaged_one_aside(store):
    for _ in range(2):
        store.save(sample(step=2))
        flip(adapter_of(store, 2))
    store.save(sample(step=2))
    assert_same(store.load("ron"), sample(step=2))
    assert {p.name for p in store.directory.glob("ron/damaged-*")} == {
        "damaged-step-00000002", "damaged-step-00000002-2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adapter": {}}, "found nothing, expected wav2vec2"),
        ({"vocabulary": nested_vocabulary("ita", 9)}, r"vocabulary of \['ita'\], expected one of \['ron'\]"),
        ({"vocabulary": nested_vocabulary("ron", 8)}, "8 tokens .* head of 9 rows"),
        ({"vocabulary": {"ron": {"a": 0, "b": 2}}}, "are not 0 … 1"),
        ({"optimizer": {"exp_avg": torch.tensor([1.0, float("inf")])}}, "infinity in the optimizer's exp_avg"),
        ({"step": -1}, "found step -1"),
        ({"language": "../ita"}, "language code '../ita'"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(store, change, message):
    store.save(sample(step=0))
    bad = dataclasses.replace(sample(), **change)
    for save in (store.save, store.save_later):
        with pytest.raises(CheckpointError, match=message):
            save(bad)
    assert store.steps("ron") == [0]


def test_a_diverged_adapter_is_not_saved(store):
    bad = sample()
    bad.adapter["lm_head.bias"][3] = float("nan")
    with pytest.raises(CheckpointError, match=r"ron at step 1: found NaN or infinity in lm_head.bias"):
        store.save(bad)


def test_large_finite_values_are_no_infinity(store):
    big = sample(dtype=torch.float64)
    big.adapter["lm_head.bias"].fill_(1.7e308)
    store.save(big)
    assert store.load("ron").adapter["lm_head.bias"][0] == 1.7e308


def test_background_saves_keep_their_order_and_loads_see_them(store):
    for step in range(1, 30):
        store.save_later(sample(step=step), best=step == 5)
        store.save_later(sample("ita", step=step))
    assert store.load("ron").step == 29
    assert store.steps("ron") == [5, 28, 29]
    store.drain()
    assert store.steps("ita") == [28, 29]


def test_background_saving_is_bounded(tmp_path, monkeypatch):
    gate, save = threading.Event(), LanguageFolder.save
    monkeypatch.setattr(LanguageFolder, "save", lambda *args, **options: (gate.wait(10), save(*args, **options))[1])
    with CheckpointStore(tmp_path, keep=1, pending_limit=2) as store:
        for language in ("ita", "ron"):
            store.save_later(sample(language))
        third = threading.Thread(target=store.save_later, args=(sample("spa"),))
        third.start()
        third.join(0.1)
        assert third.is_alive(), "the third snapshot was taken in although two were pending"
        gate.set()
        third.join(10)
        assert store.load("spa").step == 1
        assert store.wait_seconds >= 0.1


def test_one_checkpoint_of_a_language_is_on_its_way(store):
    gate = threading.Event()
    store.save_later(sample("spa"), saved=lambda _: gate.wait(10))  # the store's thread waits here
    store.save_later(sample("ita", step=1))
    second = threading.Thread(target=store.save_later, args=(sample("ita", step=2),))
    second.start()
    store.save_later(sample("ron"))  # another language does not wait
    second.join(0.1)
    assert second.is_alive(), "the second snapshot was taken in although the first was not on the disk"
    gate.set()
    second.join(10)
    assert store.load("ita").step == 2


def test_a_failed_background_save_surfaces_once_and_others_go_on(store):
    (store.directory / "ron").parent.mkdir(parents=True)
    (store.directory / "ron").write_text("a file where a folder should be")
    gate = threading.Event()
    store.save_later(sample("spa"), saved=lambda _: gate.wait(10))  # the store's thread waits here
    store.save_later(sample("ron"))
    store.save_later(sample("ita"))
    gate.set()
    with pytest.raises(CheckpointError, match=r"cannot write .*ron/step-00000001.*run.directory"):
        store.drain()
    store.drain()
    assert store.load("ita").step == 1
    store.save_later(sample("ron"))
    assert store.steps("ita") == [1]
    with pytest.raises(CheckpointError, match=r"cannot write"):
        store.save_later(sample("ita", step=2))
    store.save_later(sample("ita", step=3))
    assert store.load("ita").step == 3


def test_changing_one_language_touches_no_other(store, tmp_path):
    for step in (1, 2, 3):
        for language in ("ita", "ron"):
            store.save(sample(language, step), best=step == 3)
    other = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (store.directory / "ita").rglob("*")}
    with CheckpointStore(tmp_path / "other", keep=2) as elsewhere:
        store.copy("ron", elsewhere)
        assert elsewhere.languages() == ["ron"]
        assert elsewhere.steps("ron") == [2, 3]
        assert_same(elsewhere.load("ron", pointer="best"), sample("ron", 3))
        assert hidden_names(elsewhere) == []
        with pytest.raises(CheckpointError, match=r"ron already exists"):
            store.copy("ron", elsewhere)
        with pytest.raises(CheckpointError, match=r"no complete checkpoint of deu"):
            store.copy("deu", elsewhere)
    with pytest.raises(CheckpointError, match=r"no step 1 of ron"):
        store.roll_back("ron", 1)
    store.roll_back("ron", 2)
    assert store.newest("ron").step == store.load("ron", pointer="last").step == 2
    with pytest.raises(CheckpointError, match=r"no pointer 'best'"):
        store.load("ron", pointer="best")
    store.save(sample("ron", 3, seed=99))
    assert_same(store.newest("ron"), sample("ron", 3, seed=99))
    store.delete("ron")
    store.delete("ron")
    assert store.languages() == ["ita"]
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (store.directory / "ita").rglob("*")} == other
    assert hidden_names(store) == []


def test_a_checkpoint_moved_under_another_name_is_found_out(store):
    path = store.save(sample(step=1))
    path.rename(path.with_name("step-00000009"))
    with pytest.raises(CheckpointError, match=r"contains step 1 of 'ron'; it was renamed or moved here"):
        store.load("ron")


def test_files_of_different_checkpoints_are_detected_despite_right_sums(store):
    from mms_dist.checkpoint.checkpoint_folder import snapshot_files
    from mms_dist.checkpoint.manifest import write_folder

    files = snapshot_files(sample(step=1))
    vocabulary = {"vocab.json": json.dumps(nested_vocabulary("ron", 7)).encode()}
    state = {"state.json": snapshot_files(sample(step=2))["state.json"]}
    for other, found in ((vocabulary, r"7 tokens .* head of 9 rows"), (state, "not the state of ron at step 1")):
        folder = store.directory / "ron" / "step-00000001"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_folder(folder, "ron", 1, files | other)
        with pytest.raises(CheckpointError, match=found):
            store.load("ron")


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"checkpoint.keep 0, expected 1 or more"):
        CheckpointStore(tmp_path, keep=0)


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    allowed = threading.Event()
    save = LanguageFolder.save

    def when_allowed(*args, **options):
        assert allowed.wait(30)
        return save(*args, **options)

    monkeypatch.setattr(LanguageFolder, "save", when_allowed)
    with CheckpointStore(tmp_path, keep=2) as store:
        store.save_later(sample())  # returns, though nothing can be written yet
        assert not list(tmp_path.rglob("step-*"))
        allowed.set()
        store.drain()
        assert list(tmp_path.rglob("step-*"))
