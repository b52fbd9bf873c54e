"""A build that is killed or runs out of disk leaves nothing half-written, and goes on."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shards.errors import ShardsError
from shards.index import ShardIndex
from shards.split_writer import _OpenShard
from tests.shard_samples import build, tree_sums, write_corpus

ROOT = Path(__file__).parents[2]


def start_build(manifest, output, log):
    command = [sys.executable, "-m", "launcher", "shards", "build", str(manifest), str(output)]
    options = ["--shard-utterances", "5", "--dev-fraction", "0.2", "--test-fraction", "0.1", "--workers", "1"]
    return subprocess.Popen([*command, *options], cwd=ROOT, stdout=log, stderr=log)


def test_a_build_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita"), utterances=40)
    build(manifest, tmp_path / "whole")
    output = tmp_path / "shards"
    with open(tmp_path / "log", "wb") as log:
        for parts in (1, 5, 12):
            process = start_build(manifest, output, log)
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if len(list(output.rglob("*.tar"))) >= parts:
                    break
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
            for folder in output.iterdir():
                if not folder.name.startswith("."):
                    assert len(ShardIndex.load(str(output), [folder.name]).language(folder.name).table("train")) > 0
        assert start_build(manifest, output, log).wait() == 0, (tmp_path / "log").read_text()
    assert tree_sums(output) == tree_sums(tmp_path / "whole")
    assert not (output / ".build" / "ron").exists()


def test_a_disk_that_fills_up_is_named_and_the_build_goes_on_when_there_is_room(tmp_path, monkeypatch):
    manifest = write_corpus(tmp_path / "corpus")
    build(manifest, tmp_path / "whole")
    written = 0
    original = _OpenShard.write

    def write(self, candidate, encoded, language):
        nonlocal written
        written += 1
        if written > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(self, candidate, encoded, language)

    monkeypatch.setattr(_OpenShard, "write", write)
    with pytest.raises(ShardsError, match=r"ron can not be written to .*No space left on device; mend that"):
        build(manifest, tmp_path / "shards")
    assert not (tmp_path / "shards" / "ron").exists()
    monkeypatch.undo()
    build(manifest, tmp_path / "shards")
    assert tree_sums(tmp_path / "shards") == tree_sums(tmp_path / "whole")


def test_a_place_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ShardsError, match="can not be made: Not a directory"):
        build(write_corpus(tmp_path / "corpus", utterances=4), tmp_path / "file" / "shards")
