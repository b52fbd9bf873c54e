"""kill -9 at any instant never costs a checkpoint that was acknowledged."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.run_directory.lock import RunLock
from tests.checkpoint_samples import assert_same, sample

KILLS = 40


def save_without_pause(directory: Path, acknowledgements: Connection) -> None:
    """Steps 1, 2, 3 … and each step twice with different contents, so that kills also fall into the replacement of
    a step, the moving of the pointers and the deletion of old ones. Says when a save has returned."""
    with RunLock(directory):
        store = CheckpointStore(directory / "adapters", keep=2)
        store.recover()
        newest = store.newest("ron")
        step = newest.step if newest else 0
        acknowledgements.send(step)
        while True:
            step += 1
            for seed in (step, -step):
                store.save(sample(step=step, seed=seed), best=step % 3 == 0)
                acknowledgements.send(step)


def last_of(acknowledgements: Connection, otherwise: int) -> int:
    try:
        while True:
            otherwise = acknowledgements.recv()
    except EOFError:
        return otherwise


def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(tmp_path: Path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mms_dist.checkpoint.store", "tests.checkpoint_samples"])
    moments = random.Random(0)
    reached, recovered = 0, []
    for kill in range(KILLS):
        receiver, sender = context.Pipe(duplex=False)
        writer = context.Process(target=save_without_pause, args=(tmp_path, sender))
        writer.start()
        sender.close()
        assert receiver.recv() == reached, "the writer did not go on where the last one was"
        time.sleep(moments.uniform(0.0, 0.06))
        writer.kill()
        writer.join()
        acknowledged = last_of(receiver, reached)
        receiver.close()
        with CheckpointStore(tmp_path / "adapters", keep=2) as store:
            recovered += store.recover()
            newest = store.newest("ron")
            assert store.damaged == [], f"kill {kill} left something that is not whole"
            reached = newest.step if newest else 0
            assert acknowledged <= reached <= acknowledged + 1, f"kill {kill} cost an acknowledged checkpoint"
            assert not [p for p in store.directory.rglob("*") if p.name.startswith(".")], "rubbish after recovery"
            if newest is None:
                continue
            head = newest.adapter["lm_head.bias"]
            seed = next(s for s in (reached, -reached) if head.equal(sample(seed=s).adapter["lm_head.bias"]))
            assert_same(newest, sample(step=reached, seed=seed))
            assert store.load("ron", pointer="last").step in (reached, reached - 1)
    assert reached > 10, "the writers hardly wrote"
    assert recovered, "no kill fell into a save"


def test_everything_is_on_the_disk_before_the_name_that_promises_it(tmp_path: Path, monkeypatch):
    """After a power cut only what was synced exists: files, then their folder, then the name, then the pointer."""
    done: list[tuple[str, str]] = []

    def recorded(name, path_of):
        original = getattr(os, name)

        def call(*arguments):
            done.append((name, path_of(*arguments)))
            return original(*arguments)

        monkeypatch.setattr(os, name, call)

    recorded("fsync", lambda descriptor: Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
    recorded("rename", lambda source, target: Path(target).name)
    recorded("replace", lambda source, target: Path(target).name)
    with CheckpointStore(tmp_path / "adapters", keep=2) as store:
        store.save(sample())
    start = next(i for i, (_, name) in enumerate(done) if name == "adapter.ron.safetensors")
    staging = done[start + 5][1]
    assert staging.startswith(".staging-step-00000001")
    assert done[start:] == [
        ("fsync", "adapter.ron.safetensors"),
        ("fsync", "optimizer.safetensors"),
        ("fsync", "state.json"),
        ("fsync", "vocab.json"),
        ("fsync", "MANIFEST.json"),
        ("fsync", staging),
        ("rename", "step-00000001"),
        ("fsync", "ron"),
        ("replace", "last"),
        ("fsync", "ron"),
    ]
