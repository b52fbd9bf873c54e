"""Two runs never write one directory."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mms_dist.errors import CheckpointError
from mms_dist.run_directory.lock import RunLock, lock_holder

HOLDER = """
import sys
from pathlib import Path
from mms_dist.run_directory.lock import RunLock
RunLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CheckpointError, match=rf"in use by process {holder.pid} on .*another directory"):
            RunLock(tmp_path).acquire()
        holder.kill()
    with RunLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / "run.lock").read_text()


def test_a_released_lock_can_be_taken_again(tmp_path):
    first, second = RunLock(tmp_path / "run"), RunLock(tmp_path / "run")
    for lock in (first, second, first):
        with lock, pytest.raises(CheckpointError, match=r"in use"):
            RunLock(tmp_path / "run").acquire()


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write the run directory .*file/run.*run.directory"):
        RunLock(tmp_path / "file" / "run").acquire()


def test_one_can_ask_who_holds_a_lock_without_taking_or_changing_it(tmp_path: Path) -> None:
    assert lock_holder(tmp_path) is None
    assert not any(tmp_path.iterdir())
    with RunLock(tmp_path) as lock:
        written = lock.path.read_bytes()
        assert lock_holder(tmp_path) == f"process {os.getpid()} on {socket.gethostname()}"
        assert lock.path.read_bytes() == written
    assert lock_holder(tmp_path) is None


@pytest.mark.parametrize("room", [0, 7])
def test_a_full_disk_at_the_lock_is_told_and_lets_the_lock_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    def pwrite(descriptor: int, content: bytes, place: int) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content[:room], place)

    write = os.pwrite
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", pwrite)
        with pytest.raises(CheckpointError, match=r"No space left on device; free space or quota there"):
            RunLock(tmp_path / "run").acquire()
    assert lock_holder(tmp_path / "run") is None
    with RunLock(tmp_path / "run"):
        assert str(os.getpid()) in (tmp_path / "run" / "run.lock").read_text()
