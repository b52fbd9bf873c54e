"""The watchdog over a real store, with real processes that are stopped, stuck, slow or alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import torch.distributed as dist

from mms_dist.distributed.watchdog import Watchdog
from tests.distributed.ranks import Ended, Ranks, free_port
from tests.distributed.worker import Notes

TIMEOUT_SECONDS = 2.0
ROUND_OF_THE_FAULT = 3
_HERE = "tests.distributed.test_watchdog_ranks"


@pytest.fixture
def store() -> Iterator[dist.TCPStore]:
    """In the test's own process, as the launcher's agent has it: it goes on while ranks are stopped."""
    yield dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


# -- what runs in a rank ------------------------------------------------------------------------------------------


def _join(notes: Notes) -> tuple[int, int, dist.TCPStore, Watchdog]:
    """This rank, the world, a store to meet the others in, and a watchdog with a store of its own."""
    rank, world = int(os.environ["RANK"]), notes["world"]
    stores = [
        dist.TCPStore("127.0.0.1", notes["port"], is_master=False, timeout=timedelta(seconds=60)) for _ in range(2)
    ]
    watchdog = Watchdog(
        dist.PrefixStore("watch", stores[1]),
        rank=rank,
        world=world,
        timeout_seconds=TIMEOUT_SECONDS,
        on_hang=lambda report: Path(notes["folder"], f"report-{rank}").write_text(str(report)),
    )
    return rank, world, stores[0], watchdog


def _meet(store: dist.TCPStore, place: str, rank: int, world: int) -> None:
    """A barrier: like a collective, it cannot be interrupted."""
    store.set(f"{place}/{rank}", "here")
    store.wait([f"{place}/{other}" for other in range(world)], timedelta(seconds=60))


def rounds(notes: Notes) -> None:
    """Rounds as in training; rank 1 does `notes["fault"]` in one of them."""
    rank, world, store, watchdog = _join(notes)
    with watchdog:
        for number in range(1, 6):
            watchdog.mark(f"forward, round {number}")
            if rank == 1 and number == ROUND_OF_THE_FAULT:
                globals()[notes["fault"]](watchdog)
            with watchdog.waiting(f"the round's edge {number}"):
                _meet(store, f"round-{number}", rank, world)


def stopped_here(watchdog: Watchdog) -> None:
    time.sleep(0.3)  # in which the last stack is told
    os.kill(os.getpid(), signal.SIGSTOP)


def stuck_here(watchdog: Watchdog) -> None:
    time.sleep(60)


def slow_here(watchdog: Watchdog) -> None:
    for part in range(9):
        watchdog.mark(f"part {part}")
        time.sleep(0.4)


def paused_here(watchdog: Watchdog) -> None:
    time.sleep(0.6 * TIMEOUT_SECONDS)


def left_here(watchdog: Watchdog) -> None:
    raise ValueError("a bug of this rank only")


def mismatched(notes: Notes) -> None:
    rank, world, store, watchdog = _join(notes)
    with watchdog:
        what = "the gradients of ron" if rank == 1 else "the round's edge 1"
        with watchdog.waiting(what):
            _meet(store, what, rank, world)


def absent(notes: Notes) -> None:
    rank, world, store, watchdog = _join(notes)
    if rank == 1:
        time.sleep(60)
    with watchdog, watchdog.waiting("all ranks to start"):
        _meet(store, "start", rank, world)


def until_told(notes: Notes) -> None:
    """Rounds until there is a file `enough`; a rank beyond the world keeps the store."""
    folder = Path(notes["folder"])
    if int(os.environ["RANK"]) == notes["world"]:
        kept = dist.TCPStore("127.0.0.1", notes["port"], is_master=True, wait_for_workers=False)
        time.sleep(60)
        del kept
    rank, world, store, watchdog = _join(notes)
    with watchdog:
        for number in count(1):
            watchdog.mark(f"forward, round {number}")
            time.sleep(0.05)
            (folder / f"alive-{rank}").touch()
            with watchdog.waiting(f"the round's edge {number}"), contextlib.suppress(RuntimeError):  # no store
                if rank == 0 and (folder / "enough").exists():
                    store.set(f"enough-{number}", "")
                _meet(store, f"round-{number}", rank, world)
                if store.check([f"enough-{number}"]):
                    return


# -- what is seen from outside --------------------------------------------------------------------------------------


def notes_for(folder: Path, port: int, world: int, **more: str) -> Notes:
    return {"folder": str(folder), "port": port, "world": world} | more


def eventually(true: Callable[[], bool], ranks: Ranks, within_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not true():
        assert time.monotonic() < deadline, "\n".join(ranks.log(rank) for rank in range(len(ranks.pids)))
        time.sleep(0.05)


def the_report(ended: Ended, folder: Path) -> str:
    """The one report, as printed and as handed to `on_hang`; found within the timeout; all ranks left with 1."""
    assert ended.codes == [1] * len(ended.codes), ended.told()
    [path] = folder.glob("report-*")
    report, rank = path.read_text(), int(path.name.removeprefix("report-"))
    assert report in ended.logs[rank]
    assert sum(log.count("last known stack") > 0 for log in ended.logs) == 1, ended.told()
    for log in ended.logs[:rank] + ended.logs[rank + 1 :]:
        assert re.search(r"watchdog: rank \d exits: ", log), ended.told()
    waited = re.search(r"has waited for .* for (\S+) s \(comm.timeout_seconds: 2\)", report)
    assert waited and float(waited[1]) <= 1.1 * TIMEOUT_SECONDS, report  # a tenth for a busy machine
    return report


def test_a_stopped_rank_is_named_in_time_with_its_activity_and_stack(tmp_path, store):
    with Ranks(3, f"{_HERE}:rounds", notes_for(tmp_path, store.port, 3, fault="stopped_here")) as ranks:
        eventually(lambda: all("rank 1 hangs" in ranks.log(rank) for rank in (0, 2)), ranks)
        os.kill(ranks.pids[1], signal.SIGCONT)  # it finds out, and leaves too
        ended = ranks.wait()
    report = the_report(ended, tmp_path)
    assert f"rank 1 hangs at 'forward, round 3' (rank 1, host {os.uname().nodename}, process {ranks.pids[1]})" in report
    assert "no sign of life" in report and re.search(r"test_watchdog_ranks.py\", line \d+, in stopped_here", report)


def test_a_stuck_main_thread_is_named_and_all_ranks_leave(tmp_path, store):
    with Ranks(3, f"{_HERE}:rounds", notes_for(tmp_path, store.port, 3, fault="stuck_here")) as ranks:
        report = the_report(ranks.wait(), tmp_path)
    assert (
        "rank 1 hangs at 'forward, round 3'" in report and "has made no progress" in report and "stuck_here" in report
    )


@pytest.mark.parametrize("fault", ["slow_here", "paused_here"])
def test_a_rank_that_pauses_for_less_than_the_timeout_is_not_blamed(tmp_path, store, fault):
    with Ranks(3, f"{_HERE}:rounds", notes_for(tmp_path, store.port, 3, fault=fault)) as ranks:
        ended = ranks.wait()
    assert ended.codes == [0, 0, 0] and "watchdog" not in "".join(ended.logs), ended.told()


def test_a_rank_that_left_with_an_error_is_named(tmp_path, store):
    with Ranks(2, f"{_HERE}:rounds", notes_for(tmp_path, store.port, 2, fault="left_here")) as ranks:
        ended = ranks.wait()
    assert ended.codes == [1, 1] and "a bug of this rank only" in ended.logs[1], ended.told()
    assert "rank 1 hangs" in ended.logs[0] and "left the run" in ended.logs[0], ended.told()


def test_calls_that_do_not_match_are_told_with_who_waits_for_what(tmp_path, store):
    with Ranks(3, f"{_HERE}:mismatched", notes_for(tmp_path, store.port, 3)) as ranks:
        report = the_report(ranks.wait(), tmp_path)
    assert "all ranks wait for each other" in report
    assert "ranks 0, 2 (" in report and "rank 1 (" in report and "waiting for the gradients of ron" in report


def test_a_rank_that_never_arrives_is_named(tmp_path, store):
    with Ranks(2, f"{_HERE}:absent", notes_for(tmp_path, store.port, 2)) as ranks:
        eventually(lambda: "rank 1 hangs" in ranks.log(0) and "has not joined the run" in ranks.log(0), ranks)


def test_a_job_suspended_for_longer_than_the_timeout_blames_no_rank(tmp_path, store):
    with Ranks(3, f"{_HERE}:until_told", notes_for(tmp_path, store.port, 3)) as ranks:
        eventually(lambda: len(list(tmp_path.glob("alive-*"))) == 3, ranks)
        for pid in ranks.pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2 * TIMEOUT_SECONDS)
        for pid in ranks.pids:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.1)
        time.sleep(TIMEOUT_SECONDS)
        (tmp_path / "enough").touch()
        ended = ranks.wait()
    assert ended.codes == [0, 0, 0] and "watchdog" not in "".join(ended.logs), ended.told()


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_ranks_leave_when_the_process_that_holds_the_store_does_not_answer(tmp_path, fault):
    with Ranks(3, f"{_HERE}:until_told", notes_for(tmp_path, free_port(), 2)) as ranks:
        eventually(lambda: len(list(tmp_path.glob("alive-*"))) == 2, ranks)
        os.kill(ranks.pids[2], fault)
        began = time.monotonic()
        eventually(lambda: all("exits: the store" in ranks.log(rank) for rank in (0, 1)), ranks)
        assert time.monotonic() - began < 1.5 * TIMEOUT_SECONDS
        if fault == signal.SIGSTOP:
            os.kill(ranks.pids[2], signal.SIGKILL)
        ended = ranks.wait()
    assert ended.codes == [1, 1, -signal.SIGKILL], ended.told()
    assert [path.name for path in tmp_path.glob("report-*")] == ["report-0"]
