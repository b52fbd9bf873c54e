"""What a power cut leaves of a checkpoint: no name is given and nothing old goes before the new is synced."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from tests.checkpoint_samples import sample

FILES = {"adapter.ron.safetensors", "optimizer.safetensors", "state.json", "vocab.json"}
_CHANCE = re.compile(r"-[0-9a-f]{12}$")


class Disk:
    """Notes in order what is asked of the disk, by names below the run's folder; of a synced file also its bytes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.bytes: dict[str, int] = {}
        self._root = root.resolve()
        for module, name, note in (
            (os, "fsync", self._synced),
            (os, "rename", self._renamed),
            (os, "replace", self._renamed),
            (shutil, "rmtree", self._deleted),
        ):
            monkeypatch.setattr(module, name, self._noted(getattr(module, name), note))

    @staticmethod
    def _noted(call: Any, note: Any) -> Any:
        def noted(*arguments: Any, **options: Any) -> Any:
            note(*arguments)
            return call(*arguments, **options)

        return noted

    def _name(self, path: Any) -> str:
        parts = Path(path).absolute().relative_to(self._root).parts
        return "/".join(_CHANCE.sub("", part) for part in parts)

    def _synced(self, descriptor: int) -> None:
        name = self._name(os.readlink(f"/proc/self/fd/{descriptor}"))
        self.bytes[name] = os.fstat(descriptor).st_size
        self.calls.append(("sync", name))

    def _renamed(self, source: Any, target: Any) -> None:
        self.calls.append(("rename", self._name(source), self._name(target)))

    def _deleted(self, path: Any, *_: Any) -> None:
        self.calls.append(("delete", self._name(path)))

    def taken(self) -> list[tuple[str, ...]]:
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def assert_contents_are_synced(calls: list[tuple[str, ...]], folder: str, disk: Disk, final: Path) -> None:
    """Each of the files whole, the manifest after them all, and then their folder."""
    *files, manifest, names = calls
    assert {name for _, name in files} == {f"{folder}/{name}" for name in FILES} and len(files) == len(FILES)
    assert [manifest, names] == [("sync", f"{folder}/MANIFEST.json"), ("sync", folder)]
    for name in (*FILES, "MANIFEST.json"):
        assert disk.bytes[f"{folder}/{name}"] == (final / name).stat().st_size


def test_a_checkpoint_is_on_disk_before_it_is_named_and_pointed_to(tmp_path: Path, disk: Disk) -> None:
    with CheckpointStore(tmp_path / "adapters", keep=2) as store:
        final = store.save(sample(step=7), best=True)
    first, *contents, moved, names, last, names_of_last, best, names_of_best = disk.taken()
    assert first == ("sync", "adapters"), "the language's own folder"
    assert_contents_are_synced(contents, "adapters/ron/.staging-step-00000007", disk, final)
    assert moved == ("rename", "adapters/ron/.staging-step-00000007", "adapters/ron/step-00000007")
    assert last == ("rename", "adapters/ron/.last", "adapters/ron/last")
    assert best == ("rename", "adapters/ron/.best", "adapters/ron/best")
    assert names == names_of_last == names_of_best == ("sync", "adapters/ron")


def test_a_replaced_checkpoint_is_removed_after_the_new_one_is_on_disk(tmp_path: Path, disk: Disk) -> None:
    with CheckpointStore(tmp_path / "adapters", keep=2) as store:
        store.save(sample(step=7))
        disk.taken()
        final = store.save(sample(step=7, seed=8))
    _, *contents, away, moved, names, gone, _, _ = disk.taken()
    assert_contents_are_synced(contents, "adapters/ron/.staging-step-00000007", disk, final)
    assert away == ("rename", "adapters/ron/step-00000007", "adapters/ron/.replaced-step-00000007")
    assert moved == ("rename", "adapters/ron/.staging-step-00000007", "adapters/ron/step-00000007")
    assert [names, gone] == [("sync", "adapters/ron"), ("delete", "adapters/ron/.replaced-step-00000007")]


def test_older_ones_go_when_the_new_one_is_pointed_to(tmp_path: Path, disk: Disk) -> None:
    with CheckpointStore(tmp_path / "adapters", keep=1) as store:
        store.save(sample(step=7))
        disk.taken()
        store.save(sample(step=8))
    calls = disk.taken()
    pointed = calls.index(("rename", "adapters/ron/.last", "adapters/ron/last"))
    assert calls[pointed + 1 :] == [
        ("sync", "adapters/ron"),
        ("rename", "adapters/ron/step-00000007", "adapters/ron/.removing-step-00000007"),
        ("delete", "adapters/ron/.removing-step-00000007"),
    ]


def test_a_copied_language_is_on_the_disk_before_it_has_its_name(tmp_path: Path, disk: Disk) -> None:
    with (
        CheckpointStore(tmp_path / "adapters", keep=2) as store,
        CheckpointStore(tmp_path / "other", keep=2) as other,
    ):
        final = store.save(sample(step=7))
        disk.taken()
        store.copy("ron", other)
    *contents, last, names_of_last, moved, names = disk.taken()
    folder = "other/.staging-ron/step-00000007"
    assert {name for _, name in contents} == {folder, *(f"{folder}/{name}" for name in (*FILES, "MANIFEST.json"))}
    assert contents[-1] == ("sync", folder)
    assert all(disk.bytes[f"{folder}/{path.name}"] == path.stat().st_size for path in final.iterdir())
    assert last == ("rename", "other/.staging-ron/.last", "other/.staging-ron/last")
    assert names_of_last == ("sync", "other/.staging-ron")
    assert [moved, names] == [("rename", "other/.staging-ron", "other/ron"), ("sync", "other")]
