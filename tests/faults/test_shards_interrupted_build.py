"""A build that is killed or runs out of disk leaves nothing half-written, and goes on."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from shards.build import language_build as build_module
from shards.errors import ShardsError
from shards.flags.names import FlagOptions
from shards.index import ShardIndex
from tests.shard_samples import build, tree_sums, write_corpus

ROOT = Path(__file__).parents[2]


def start_build(manifest, output, log, workers=1):
    command = [sys.executable, "-m", "launcher", "shards", "build", str(manifest), str(output)]
    options = ["--shard-utterances", "5", "--dev-fraction", "0.2", "--test-fraction", "0.1", "--workers", str(workers)]
    return subprocess.Popen([*command, *options], cwd=ROOT, stdout=log, stderr=log, start_new_session=True)


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def tars_in(folder):
    """The number of tars, also while a build moves folders, which `Path.rglob` cannot bear."""
    return sum(name.endswith(".tar") for _, _, names in os.walk(folder) for name in names)


def die(task, limits):
    """A worker that the system kills."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_build_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita"), utterances=40)
    build(manifest, tmp_path / "whole")
    output = tmp_path / "shards"
    with open(tmp_path / "log", "wb") as log:
        for parts in (1, 5, 12):
            process = start_build(manifest, output, log)
            wait_for(lambda parts=parts: tars_in(output) >= parts)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
            for folder in output.iterdir():
                if not folder.name.startswith("."):
                    assert len(ShardIndex.load(str(output), [folder.name]).language(folder.name).table("train")) > 0
        assert start_build(manifest, output, log).wait() == 0, (tmp_path / "log").read_text()
    assert tree_sums(output) == tree_sums(tmp_path / "whole")
    assert not (output / ".build" / "ron").exists()


def test_a_full_disk_is_named_and_the_build_resumes_when_there_is_room(tmp_path, monkeypatch):
    manifest = write_corpus(tmp_path / "corpus")
    build(manifest, tmp_path / "whole")
    shards = 0
    original = os.fsync

    def fsync(descriptor):
        nonlocal shards
        shards += os.readlink(f"/proc/self/fd/{descriptor}").endswith(".tar")
        if shards > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ShardsError, match=r"ron cannot be written to .*No space left on device; fix that"):
        build(manifest, tmp_path / "shards")
    assert not (tmp_path / "shards" / "ron").exists()
    monkeypatch.undo()
    build(manifest, tmp_path / "shards")
    assert tree_sums(tmp_path / "shards") == tree_sums(tmp_path / "whole")


@pytest.mark.parametrize("stopped", ["measure_recordings", "encode_recordings"])
def test_a_build_that_drops_by_flags_resumes_with_the_same_bytes(stopped, tmp_path, monkeypatch):
    names = ("one.wav", "two.wav")
    repeated = [{"audio": name, "text": "said by two people", "lang": "ron"} for name in names]
    manifest = write_corpus(tmp_path / "corpus", extra=repeated)
    for name in names:
        shutil.copyfile(tmp_path / "corpus" / "ron" / "clip003.wav", tmp_path / "corpus" / name)
    dropping = FlagOptions({"near_duplicate_text": 1.0}, ("near_duplicate_text",))
    whole = build(manifest, tmp_path / "whole", flags=dropping)
    assert whole.indexes["ron"]["drops"]["near_duplicate_text"]["count"] == 1
    work, calls = getattr(build_module, stopped), 0

    def interrupted(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyboardInterrupt
        return work(*arguments, **options)

    monkeypatch.setattr(build_module, stopped, interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(manifest, tmp_path / "shards", flags=dropping)
    assert not (tmp_path / "shards" / "ron").exists()
    monkeypatch.undo()
    build(manifest, tmp_path / "shards", flags=dropping)
    assert tree_sums(tmp_path / "shards") == tree_sums(tmp_path / "whole")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ShardsError, match="cannot be created: Not a directory"):
        build(write_corpus(tmp_path / "corpus", utterances=4), tmp_path / "file" / "shards")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_the_workers_of_a_build_that_is_stopped_end_with_it(sent, tmp_path):
    manifest = write_corpus(tmp_path / "corpus", utterances=200)
    with open(tmp_path / "log", "wb") as log:
        process = start_build(manifest, tmp_path / "shards", log, workers=2)
        wait_for(lambda: tars_in(tmp_path / "shards"))
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
        if sent == signal.SIGINT:
            os.killpg(process.pid, sent)  # as a terminal does, to all of them
        else:
            process.send_signal(sent)
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_worker_that_dies_is_an_error_that_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "encode_recordings", die)
    report = build(write_corpus(tmp_path / "corpus", utterances=12), tmp_path / "shards", workers=2)
    assert list(report.failed) == ["ron"] and not report.indexes
    assert re.match(r"a worker process died while building ron.*with fewer --workers", str(report.failed["ron"]))
    assert not (tmp_path / "shards" / "ron").exists()
