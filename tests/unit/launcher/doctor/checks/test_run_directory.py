"""`mms-dist doctor` and the run directory: what its file system can do, who uses it, and whether there is room."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch

from launcher.doctor.checks import disk, run_directory
from launcher.doctor.checks.disk import checkpoint_bytes, files_of
from mms_dist.config import load_config
from mms_dist.model.base_shape import BaseShape
from mms_dist.run_directory.lock import RunLock
from shards.index import ShardIndex
from tests.doctoring import examined, failed, warned
from tests.training import train


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("replace", "replacing a file fails"),
        ("rename", "renaming a folder fails"),
        ("symlink", "replacing a link fails"),
    ],
)
def test_a_file_system_that_lacks_an_operation_is_named(
    config: Path, monkeypatch: pytest.MonkeyPatch, function: str, words: str
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, function, refuse)
    told = failed(examined(config))
    assert told.keys() == {"run directory"}
    assert words in told["run directory"]
    assert "another file system" in told["run directory"]


def test_locks_that_other_processes_do_not_respect_are_found(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "is_locked_for_others", lambda path: False)
    assert "another process can lock a file" in failed(examined(config))["run directory"]


def test_whether_a_lock_is_respected_is_asked_of_another_process(tmp_path: Path) -> None:
    (tmp_path / "run.lock").touch()
    assert not run_directory.is_locked_for_others(tmp_path / "run.lock")
    with RunLock(tmp_path) as lock:
        assert run_directory.is_locked_for_others(lock.path)
    with pytest.raises(OSError, match="No such file"):
        run_directory.is_locked_for_others(tmp_path / "none")


def test_a_directory_in_use_is_named_with_its_user(config: Path, tmp_path: Path) -> None:
    with RunLock(tmp_path / "run"):
        told = failed(examined(config))
    assert told.keys() == {"last attempt"}
    assert f"in use by process {os.getpid()}" in told["last attempt"]
    assert failed(examined(config)) == {}


def test_a_run_that_gave_up_is_told_with_its_reason(config: Path, tmp_path: Path) -> None:
    status = {"processes": 1, "attempt": 4, "stalled": 3, "steps_at_start": 0, "state": "stalled", "reason": "no luck"}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text(json.dumps(status))
    findings = examined(config)
    assert failed(findings) == {}
    assert "gave up: no luck" in warned(findings)["last attempt"]


@pytest.mark.parametrize("state", ["incomplete", "failed"])
def test_languages_in_quarantine_are_told_with_what_lets_them_go_on(config: Path, tmp_path: Path, state: str) -> None:
    values = {"processes": 1, "attempt": 1, "stalled": 0, "steps_at_start": 0, "state": state, "exit_code": 65}
    mark = tmp_path / "run" / "adapters" / "tab" / "QUARANTINED.json"
    mark.parent.mkdir(parents=True)
    mark.write_text(json.dumps({"language": "tab", "step": 12, "reason": "its loss is nan"}))
    (tmp_path / "run" / "status.json").write_text(json.dumps(values | {"reason": "tab is in quarantine"}))
    findings = examined(config)
    assert failed(findings) == {}
    told = warned(findings)
    assert "ended incomplete: tab is in quarantine" in told["last attempt"]
    assert "tab is in quarantine since step 12: its loss is nan" in told["checkpoints"]
    assert f"remove {mark}" in told["checkpoints"]


def test_checkpoints_have_the_estimated_size_and_must_fit_the_run(config: Path, tmp_path: Path) -> None:
    settings = ["--optim.steps", "2", "--optim.warmup_steps", "1", "--checkpoint.keep", "1"]
    run = load_config(config, settings)
    train(run)
    shape = BaseShape.of(run.model.base)
    for language in ("taa", "tab"):
        folder = (tmp_path / "run" / "adapters" / language / "last").resolve()
        vocabulary = len(json.loads((folder / "vocab.json").read_text())[language])
        found = sum(path.stat().st_size for path in folder.iterdir())
        assert 0.5 * found < checkpoint_bytes(run.model, run.adapter, shape, vocabulary) < 2 * found
        tensors = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        assert abs(checkpoint_bytes(run.model, run.adapter, shape, vocabulary) - tensors) < 16 << 10
    _the_checkpoints_are_compared_with_what_the_run_would_go_on_with(config, tmp_path, settings)


def _the_checkpoints_are_compared_with_what_the_run_would_go_on_with(
    config: Path, tmp_path: Path, settings: list[str]
) -> None:
    findings = examined(config, *settings, load=True)
    assert failed(findings) == {}
    assert any("has finished" in finding.found for finding in findings)
    assert any("2 of 2 languages resume from checkpoints" in finding.found for finding in findings)
    told = failed(examined(config, *settings, "--adapter.dim", "4"))
    assert told.keys() == {"checkpoints"}
    assert "the checkpoint of taa (step-00000002) has 2 layers of width 32 and adapter.dim 8, expected" in str(told)
    weights = tmp_path / "base" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    tensors["wav2vec2.encoder.layer_norm.weight"] += 1
    safetensors.torch.save_file(tensors, weights, metadata={"format": "pt"})
    assert "a base with different weights" in failed(examined(config, *settings, load=True))["checkpoints"]
    vocabulary = tmp_path / "run" / "adapters" / "tab" / "last" / "vocab.json"
    vocabulary.write_text(vocabulary.read_text().replace('"g"', '"G"'))
    told = failed(examined(config, *settings))
    assert told.keys() == {"checkpoints"}
    assert "the checkpoint of tab (step-00000002) has a vocabulary of" in told["checkpoints"]
    (vocabulary.parent / "adapter.tab.safetensors").write_bytes(b"damaged")
    findings = examined(config, *settings)
    assert failed(findings) == {}
    assert "is damaged" in warned(findings)["checkpoints"]


@pytest.mark.parametrize("keep", [1, 2, 7])
def test_disk_space_covers_kept_best_and_staged_checkpoints(
    config: Path, shards: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    settings = ["--checkpoint.keep", str(keep)]
    run = load_config(config, settings)
    index, shape = ShardIndex.load(str(shards)), BaseShape.of(run.model.base)
    sizes = [
        checkpoint_bytes(run.model, run.adapter, shape, len(index.language(code).vocabulary))
        for code in index.languages
    ]
    needed = (keep + 1) * sum(sizes) + max(sizes)

    def failures(free: int) -> dict[str, str]:
        monkeypatch.setattr(disk.shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
        return failed(examined(config, *settings))

    told = failures(needed - 1)
    assert told.keys() == {"disk space"}
    assert f"{keep + 1} of 2 languages" in told["disk space"]
    assert failures(needed) == {}


class Disk:
    """A file system with so many free inodes (of none at all: one that has no such bound)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, free: int, total: int = 10**9) -> None:
        real = os.statvfs

        def statvfs(path: Any) -> SimpleNamespace:
            found = real(path)
            names = [name for name in dir(found) if name.startswith("f_")]
            values = {name: getattr(found, name) for name in names}
            return SimpleNamespace(**values | {"f_files": total, "f_ffree": free + 5, "f_favail": free})

        monkeypatch.setattr(os, "statvfs", statvfs)


@pytest.mark.parametrize("keep", [1, 3])
def test_there_must_be_inodes_for_every_file_of_the_run(
    config: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    needed = files_of(keep + 1, languages=2)
    settings = ["--checkpoint.keep", str(keep)]
    Disk(monkeypatch, free=needed)
    assert failed(examined(config, *settings)) == {}
    Disk(monkeypatch, free=needed - 1)
    told = failed(examined(config, *settings))
    assert told.keys() == {"disk space"}
    assert f"{needed:,} files (inodes)" in told["disk space"] and f"{needed - 1:,} are free" in told["disk space"]
    Disk(monkeypatch, free=0, total=0)
    assert failed(examined(config, *settings)) == {}, "btrfs and some network file systems have no bound"


def test_files_that_are_there_already_need_no_new_inode(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a run makes no more of them than is reckoned, and not far fewer."""
    settings = ["--optim.steps", "12", "--evaluation.every_steps", "2", "--checkpoint.every_rounds", "2"]
    train(load_config(config, settings))
    run = load_config(config, settings)
    there = sum(1 for _ in (tmp_path / "run" / "adapters").rglob("*"))
    everything = 1 + sum(1 for _ in (tmp_path / "run").rglob("*"))
    needed = files_of(run.checkpoint.keep + 1, languages=2)
    assert 0.6 * needed < everything <= needed
    Disk(monkeypatch, free=needed - there)
    assert failed(examined(config, *settings)) == {}
    Disk(monkeypatch, free=needed - there - 1)
    assert failed(examined(config, *settings)).keys() == {"disk space"}
