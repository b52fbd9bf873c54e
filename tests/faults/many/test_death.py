"""kill -9 of a rank: the others notice and leave, no checkpoint is partial, and the run goes on as if nothing was."""

from pathlib import Path

import pytest

from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import (
    GRACE_SECONDS,
    assert_every_checkpoint_is_whole,
    assert_same_adapters,
    events,
    faulty,
    many_config,
    run_to_the_end,
    status,
)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(0, "saving", "kill", 15)],
        # Slower than the rounds between two checkpoints of a language; than the first rounds.
        [Fault(0, "saving", "disk_slow", seconds=0.25), Fault(0, "saving", "kill", 15)],
        [Fault(0, "saving", "disk_slow", seconds=1.0), Fault(0, "data", "kill", 3)],
        [Fault(1, "reduce", "kill", 1)],
    ],
    ids=["rank-0-while-saving", "rank-0-on-a-slow-disk", "rank-0-soon-after-admission", "rank-1-while-reducing"],
)
def test_ranks_leave_within_seconds_of_a_death_and_the_run_resumes_exactly(
    faults: list[Fault], tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    fault = faults[-1]
    with faulty(config, faults, tmp_path / "record") as launch:
        ended = launch.wait()
        assert ended.code != 0, ended.log
        assert launch.nobody_is_left()
    struck, left = read_record(tmp_path / "record")
    assert (struck.what, left.what, left.rank) == ("kill", "exit", 1 - fault.rank)
    assert left.code not in (0, None)
    assert left.time_seconds - struck.time_seconds < GRACE_SECONDS
    assert f"rank {left.rank} of 2 lost a peer" in ended.log
    assert_every_checkpoint_is_whole(tmp_path / "run")
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")


def test_a_launcher_that_restarts_by_itself_gives_the_same_adapters(
    tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    kills = [Fault(1, "forward", "kill", 13, attempt=0), Fault(0, "evaluation", "kill", 24, attempt=1)]
    with faulty(config, kills, tmp_path / "record", options=["--max_restarts", "2"]) as launch:
        ended = launch.wait(240)
        assert ended.code == 0, ended.log
        assert launch.nobody_is_left()
    assert [note.what for note in read_record(tmp_path / "record")].count("kill") == 2
    assert len(events(tmp_path / "run", "run_resumed")) == 2
    assert (status(tmp_path / "run")["state"], status(tmp_path / "run")["attempt"]) == ("finished", 3)
    assert_same_adapters(uninterrupted, tmp_path / "run")
