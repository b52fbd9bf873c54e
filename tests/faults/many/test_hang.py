"""A rank that hangs is found within `comm.timeout_seconds`, and named with what it was doing."""

import contextlib
import time
from pathlib import Path

import psutil
import pytest

from tests.distributed.launch import Launch
from tests.faults.injection import Fault, read_record
from tests.faults.many.runs import (
    GRACE_SECONDS,
    assert_every_checkpoint_is_whole,
    assert_same_adapters,
    faulty,
    many_config,
    run_to_the_end,
    status,
)

TIMEOUT_SECONDS = 5.0
BUSY_SECONDS = 3.0
"""That the threads of a busy machine come late."""


@pytest.mark.parametrize("rank", [0, 1])  # rank 0 keeps the status, and another has to write it in its place
def test_a_stopped_rank_is_named_with_its_stack_and_the_run_resumes(
    rank: int, tmp_path: Path, small_base: Path, shards: Path, uninterrupted: Path
) -> None:
    config = many_config(tmp_path / "run", small_base, shards, comm={"timeout_seconds": TIMEOUT_SECONDS})
    with faulty(config, [Fault(rank, "forward", "stop", 13)], tmp_path / "record") as launch:
        kill_the_stopped_one_when_the_others_have_left(launch)
        ended = launch.wait(GRACE_SECONDS)
        assert ended.code != 0, ended.log
        assert launch.nobody_is_left()
    assert f"watchdog: rank {rank} hangs" in ended.log
    assert "last known stack, innermost last:" in ended.log
    assert "in RoundLoop.run" in ended.log
    (struck,) = [note for note in read_record(tmp_path / "record") if note.what == "stop"]
    assert struck.round == 13
    found = status(tmp_path / "run")
    assert (found["state"], found["restart"]) == ("failed", True)
    assert found["reason"].startswith(f"watchdog: rank {rank} hangs")
    written = (tmp_path / "run" / "status.json").stat().st_mtime - time.time() + time.monotonic()
    assert written - struck.time_seconds < TIMEOUT_SECONDS + BUSY_SECONDS
    assert_every_checkpoint_is_whole(tmp_path / "run")
    run_to_the_end(config)
    assert_same_adapters(uninterrupted, tmp_path / "run")


def kill_the_stopped_one_when_the_others_have_left(launch: Launch, within_seconds: float = 120.0) -> None:
    """As torch's agent does by itself, but it waits for 30 s in which a stopped process might heed a SIGTERM."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):
            members = launch.members()
            stopped = [process for process in members if process.status() == psutil.STATUS_STOPPED]
            if stopped and len(members) == 2:  # it and the launcher
                stopped[0].kill()
                return
        time.sleep(0.1)
    raise AssertionError(f"the others had not left a stopped rank after {within_seconds:g} s\n{launch.log()}")
