"""kill -9 of a rank: the others notice and leave, no checkpoint is partial, and the run goes on as if nothing was."""

import signal
from pathlib import Path

import pytest

from mms_dist.config import Config
from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import (
    GRACE_SECONDS,
    assert_every_checkpoint_is_whole,
    assert_same_adapters,
    events,
    faulty,
    many_config,
    run_faulty,
    run_to_the_end,
    status,
)


def test_ranks_leave_the_launcher_within_seconds_of_a_death(
    tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    fault = Fault(0, "saving", "kill", 15)
    with faulty(config, [fault], tmp_path / "record") as launch:
        ended = launch.wait()
        assert ended.code != 0, ended.log
        assert launch.nobody_is_left()
    assert_left_and_resumes_exactly(config, fault, ended.log, tmp_path, uninterrupted)


@pytest.mark.parametrize(
    "faults",
    [
        # Slower than the rounds between two checkpoints of a language; than the first rounds.
        [Fault(0, "saving", "disk_slow", seconds=0.25), Fault(0, "saving", "kill", 15)],
        [Fault(0, "saving", "disk_slow", seconds=1.0), Fault(0, "data", "kill", 3)],
        [Fault(1, "reduce", "kill", 1)],
    ],
    ids=["rank-0-on-a-slow-disk", "rank-0-soon-after-admission", "rank-1-while-reducing"],
)
def test_ranks_leave_within_seconds_of_a_death_and_the_run_resumes_exactly(
    faults: list[Fault], tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards)
    ended = run_faulty(config, faults, tmp_path / "record", expect=None)
    assert ended.codes[faults[-1].rank] == -signal.SIGKILL
    assert_left_and_resumes_exactly(config, faults[-1], ended.told(), tmp_path, uninterrupted)


def assert_left_and_resumes_exactly(config: Config, fault: Fault, log: str, folder: Path, uninterrupted: Path) -> None:
    """The rank that was left said why and ended within seconds, and the run goes on as if nothing had been."""
    struck, left = read_record(folder / "record")
    assert (struck.what, left.what, left.rank) == ("kill", "exit", 1 - fault.rank)
    assert left.code not in (0, None)
    assert left.time_seconds - struck.time_seconds < GRACE_SECONDS
    assert f"rank {left.rank} of 2 lost a peer" in log
    assert_every_checkpoint_is_whole(folder / "run")
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, folder / "run")


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
