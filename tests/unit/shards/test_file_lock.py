"""A file lock has one holder, is free when that one ends, and is never lost with a removed file."""

import subprocess
import sys

import pytest

from shards.file_lock import FileLock, LockedError, is_locked

HOLDER = """
import sys
from pathlib import Path
from shards.file_lock import FileLock
FileLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder_and_is_free_when_it_is_killed(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError):
            FileLock(path).acquire(wait=False)
        assert is_locked(path)
        holder.kill()
        with FileLock(path):  # waits until the kernel has let it go
            assert is_locked(path)
    assert not is_locked(path)


def test_a_lock_on_a_removed_file_does_not_let_two_in(tmp_path):
    path = tmp_path / "lock"
    first = FileLock(path)
    first.acquire()
    path.unlink()
    with FileLock(path):
        first.release()
        with pytest.raises(LockedError):
            FileLock(path).acquire(wait=False)


def test_asking_whether_a_file_is_locked_creates_nothing(tmp_path):
    assert not is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "none" / "lock")
    assert not any(tmp_path.iterdir())


def test_what_a_holder_writes_replaces_what_was_there(tmp_path):
    path = tmp_path / "lock"
    path.write_bytes(b"an earlier holder with a long name")
    with FileLock(path) as lock:
        lock.write(b"me")
    assert path.read_bytes() == b"me"
