"""A disk that is full on one rank: no language loses what it had, and the run goes on when there is room."""

from pathlib import Path

from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import (
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
    assert all(max(of_language) >= 10 for of_language in steps.values()), steps
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")
