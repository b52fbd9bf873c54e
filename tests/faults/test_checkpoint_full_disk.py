"""A full disk during saving leaves the previous checkpoint whole, and nothing half-written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError
from mms_dist.model.adapter import AdapterShape
from mms_dist.publishing.export import export_run
from tests.checkpoint_samples import assert_same, sample

SHAPE = AdapterShape(layers=4, hidden=64, dim=16, vocabulary_size=40)  # about 150 KB a checkpoint

# Root without a disk of its own to fill, and everyone else: a limit on the length of a file is a real failed write.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.errors import CheckpointError
from tests.checkpoint_samples import sample
from tests.faults.test_checkpoint_full_disk import SHAPE
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = CheckpointStore(Path(sys.argv[1]), keep=2)
store.save(sample(step=1, shape=SHAPE))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    store.save(sample(step=2, shape=SHAPE))
except CheckpointError as problem:
    print(problem)
"""


def assert_only_step_1_is_there_and_whole(directory: Path) -> None:
    with CheckpointStore(directory, keep=2) as store:
        assert store.steps("ron") == [1]
        assert_same(store.load("ron", pointer="last"), sample(step=1, shape=SHAPE))
        assert store.damaged == []
        assert store.recover() == []
    assert {p.name for p in (directory / "ron").iterdir()} == {"step-00000001", "last"}


@pytest.mark.parametrize("limit_bytes", [0, 4_096, 90_000])
def test_a_write_that_fails_half_way_leaves_the_previous_checkpoint_whole(tmp_path, limit_bytes):
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(limit_bytes)], capture_output=True, text=True, check=True
    )
    assert "cannot write" in run.stdout
    assert "step-00000002: File too large" in run.stdout
    assert "bytes needed" in run.stdout
    assert "all older checkpoints are complete; free space or quota there, lower checkpoint.keep" in run.stdout
    assert_only_step_1_is_there_and_whole(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a file system of 1 MiB cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_at_any_moment_leaves_the_last_checkpoint_whole(small_disk):
    directory = small_disk / "adapters"
    with CheckpointStore(directory, keep=2) as store:
        store.save(sample(step=1, shape=SHAPE))
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
    refused = 0
    for room_bytes in range(0, 240_000, 16_384):
        (small_disk / "ballast").write_bytes(bytes(free - room_bytes))
        with CheckpointStore(directory, keep=2) as store:
            store.save_later(sample(step=2, shape=SHAPE))
            try:
                store.drain()
            except CheckpointError as problem:
                refused += 1
                assert "No space left on device" in str(problem)
                assert " free), but" in str(problem)
                assert_only_step_1_is_there_and_whole(directory)
            else:
                assert_same(store.load("ron"), sample(step=2, shape=SHAPE))
                store.roll_back("ron", 1)
        (small_disk / "ballast").unlink()
    assert 3 < refused < 15, "the sizes should end before, inside and after every file"


def test_a_disk_that_fills_during_an_export_leaves_the_last_export_whole(small_disk, small_base, tmp_path):
    with CheckpointStore(tmp_path / "run" / "adapters", keep=2) as store:
        for language in ("ita", "ron"):
            store.save(sample(language, shape=AdapterShape(layers=2, hidden=32, dim=16, vocabulary_size=40)))
    target = small_disk / "out"
    needed = export_run(tmp_path / "run", target, base_path=str(small_base)).bytes
    earlier = {path.name: path.read_bytes() for path in target.iterdir()}
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
    for room_bytes in range(0, needed, needed // 12):
        (small_disk / "ballast").write_bytes(bytes(max(0, free - room_bytes)))
        with pytest.raises(CheckpointError, match=r"cannot write .*(No space left on device|os error 28).*free space"):
            export_run(tmp_path / "run", target, base_path=str(small_base))
        assert {path.name: path.read_bytes() for path in target.iterdir()} == earlier
        assert {path.name for path in small_disk.iterdir()} == {"out", "ballast"}
        (small_disk / "ballast").unlink()
