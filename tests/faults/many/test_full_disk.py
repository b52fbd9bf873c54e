"""A disk that is full on one rank: no language loses what it had, and the run goes on when there is room."""

import re
from pathlib import Path

from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import (
    EVERY_ROUNDS,
    SLOTS,
    WORLD,
    assert_every_checkpoint_is_whole,
    assert_same_adapters,
    faulty,
    many_config,
    run_to_the_end,
    status,
)

NEEDS_A_FIX = 2


def test_a_full_disk_costs_no_checkpoint_is_named_with_a_fix_and_resumed(
    tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    with faulty(config, [Fault(1, "saving", "disk_full", 15)], tmp_path / "record") as launch:
        ended = launch.wait()
        assert ended.code != 0, ended.log
        assert launch.nobody_is_left()
    exits = [note for note in read_record(tmp_path / "record") if note.what == "exit"]
    assert sorted((note.rank, note.code) for note in exits) == [(rank, NEEDS_A_FIX) for rank in range(WORLD)]
    assert "error on rank 1: cannot write" in ended.log
    found = status(tmp_path / "run")  # kept by rank 0
    assert (found["state"], found["exit_code"], found["restart"]) == ("failed", NEEDS_A_FIX, False)
    assert found["reason"].startswith("rank 1 failed: cannot write")
    assert "No space left on device" in found["reason"]
    assert "free space or quota there" in found["reason"]
    steps = assert_every_checkpoint_is_whole(tmp_path / "run")
    # Checkpoints are written in the background, so which one of rank 1 meets the full disk depends on the machine.
    failed = re.search(r"adapters/(\w+)/step-(\d+): No space left on device", ended.log)
    assert failed is not None, ended.log
    language, failed_step = failed[1], int(failed[2])
    assert failed_step - EVERY_ROUNDS <= max(steps[language]) < failed_step, (language, failed_step, steps)
    assert len(steps) == SLOTS * WORLD, steps
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")
