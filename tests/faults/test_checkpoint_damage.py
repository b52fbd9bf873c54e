"""One flipped byte in any file of a checkpoint is found, named and survived; so is anything else that is not whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError
from tests.checkpoint_samples import assert_same, sample

FILES = ("adapter.ron.safetensors", "optimizer.safetensors", "state.json", "vocab.json", "MANIFEST.json")
FLIPS_A_FILE = 40


@pytest.fixture
def store(tmp_path: Path):
    with CheckpointStore(tmp_path / "adapters", keep=2) as opened:
        for step in (1, 2):
            opened.save(sample(step=step))
        yield opened


def newest_folder(store: CheckpointStore) -> Path:
    return store.directory / "ron" / "step-00000002"


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_in_any_file_is_named_and_survived(store, name):
    path = newest_folder(store) / name
    whole = path.read_bytes()
    stride = max(1, len(whole) // FLIPS_A_FILE)
    offsets = {*range(0, len(whole), stride), len(whole) - 1}
    for count, offset in enumerate(sorted(offsets)):
        changed = bytearray(whole)
        changed[offset] ^= 1 << (count % 8)
        path.write_bytes(changed)
        store.damaged.clear()
        assert_same(store.load("ron"), sample(step=1))
        assert [d.path for d in store.damaged] == [path], f"bit {count % 8} of byte {offset}"
    path.write_bytes(whole)
    assert_same(store.load("ron"), sample(step=2))


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(FILES),
    at=st.integers(0, 1500),
    put=st.binary(max_size=8) | st.just(b"[" * 20_000),
    left=st.none() | st.floats(0, 1),
)
def test_no_damage_gives_a_traceback_or_another_adapter(store, name, at, put, left):
    path = newest_folder(store) / name
    whole = path.read_bytes()
    changed = whole[:at] + put + whole[at + len(put) :]
    changed = changed if left is None else changed[: int(len(changed) * left)]
    path.write_bytes(changed)
    try:
        assert_same(store.load("ron"), sample(step=2 if changed == whole else 1))
    finally:
        path.write_bytes(whole)


def _rewrite_manifest(folder: Path) -> None:
    body = json.loads((folder / "MANIFEST.json").read_text())
    body["schema"] = 2
    (folder / "MANIFEST.json").write_text(json.dumps(body))


def _exchange(folder: Path) -> None:
    shutil.copy(folder.with_name("step-00000001") / "state.json", folder / "state.json")


@pytest.mark.parametrize(
    ("damage", "name", "reason"),
    [
        *((lambda f, n=n: (f / n).unlink(), n, "is missing") for n in FILES),
        *((lambda f, n=n: (f / n).write_bytes((f / n).read_bytes()[:-1]), n, "") for n in FILES),
        *((lambda f, n=n: (f / n).write_bytes(b""), n, "") for n in FILES),
        *((lambda f, n=n: (f / n).write_bytes((f / n).read_bytes() + b"\n"), n, "") for n in FILES),
        (lambda f: (f / "notes.txt").write_text("mine"), "notes.txt", "not listed in the manifest"),
        (
            lambda f: (f / "adapter.ita.safetensors").write_bytes(b"x"),
            "adapter.ita.safetensors",
            "not listed in the manifest",
        ),
        (lambda f: (f / "MANIFEST.json").write_text("{nonsense"), "MANIFEST.json", "not a readable manifest"),
        (lambda f: (f / "MANIFEST.json").write_text("[]"), "MANIFEST.json", "not a readable manifest"),
        (lambda f: (f / "MANIFEST.json").write_bytes(b"\xff\xfe"), "MANIFEST.json", "not a readable manifest"),
        (_rewrite_manifest, "MANIFEST.json", "found schema 2, expected 1"),
        (_exchange, "state.json", "SHA-256"),
        (lambda f: ((f / "vocab.json").unlink(), (f / "vocab.json").mkdir()), "vocab.json", "cannot be read"),
    ],
)
def test_missing_cut_grown_or_unreadable_files_are_named_and_survived(
    store, damage: Callable[[Path], object], name: str, reason: str
):
    damage(newest_folder(store))
    assert_same(store.load("ron", pointer="last"), sample(step=1))
    (found,) = store.damaged
    assert found.path == newest_folder(store) / name
    assert reason in found.reason


def test_hidden_files_of_the_file_system_do_no_harm(store):
    (newest_folder(store) / ".nfs000000000000001").write_text("held open by another client")
    assert_same(store.load("ron"), sample(step=2))
    assert store.damaged == []


def test_training_goes_on_after_damage_and_keeps_the_damaged_checkpoint(store):
    (newest_folder(store) / "state.json").write_text("{")
    assert store.newest("ron").step == 1
    store.save(sample(step=2))
    store.save(sample(step=3))
    assert_same(store.load("ron"), sample(step=3))
    assert (store.directory / "ron/damaged-step-00000002/state.json").read_text() == "{"


def test_a_language_with_nothing_whole_stops_no_other(store):
    store.save(sample("ita"))
    for step in (1, 2):
        (store.directory / f"ron/step-{step:08d}/vocab.json").unlink()
    assert store.recover() == []
    with pytest.raises(CheckpointError, match=r"no checkpoint of ron in .* is complete"):
        store.newest("ron")
    assert_same(store.newest("ita"), sample("ita"))
