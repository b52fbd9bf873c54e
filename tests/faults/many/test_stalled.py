"""Restarts that bring the run no further come to an end, and say that another one would not help."""

from pathlib import Path

from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import (
    WORLD,
    assert_same_adapters,
    faulty,
    many_config,
    run_to_the_end,
    status,
)

STALLED = 70


def test_restarts_without_progress_end_with_70_and_a_start_by_hand_goes_on(
    tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    run = {"directory": str(tmp_path / "run"), "threads": 1, "stalled_restarts": 2}
    config = many_config(tmp_path / "run", small_base, shards, run=run)
    always = [Fault(rank, "forward", "raise", 1, attempt=None) for rank in range(WORLD)]
    with faulty(config, always, tmp_path / "record", options=["--max_restarts", "2"]) as launch:
        ended = launch.wait(240)
        assert ended.code != 0, ended.log
        assert launch.nobody_is_left()
    exits = {(note.attempt, note.rank): note.code for note in read_record(tmp_path / "record") if note.what == "exit"}
    assert {code for (attempt, _), code in exits.items() if attempt == 2} == {STALLED}, exits
    assert {code for (attempt, _), code in exits.items() if attempt < 2} == {1}, exits
    found = status(tmp_path / "run")
    assert (found["state"], found["exit_code"], found["restart"]) == ("stalled", STALLED, False)
    assert "a fault that a test put here" in found["reason"]
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")
