"""Who is blamed for a hang, what is said of it, and what watching costs."""

from __future__ import annotations

import gc
import sys
import threading
import time

import pytest

from mms_dist.distributed import watchdog as module
from mms_dist.distributed.heartbeats import (
    LEFT,
    REPORTS_SHOWN,
    WAITING,
    WORKING,
    HangReport,
    Heartbeat,
    HeartbeatMonitor,
    RankTrace,
    deadlock_report,
    hang_report,
    name_ranks,
    stack_of,
    stack_of_thread,
)
from mms_dist.distributed.watchdog import NoWatchdog, Watchdog

STILL = 10.0


class Memory:
    """A store of one process."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.requests = 0

    def set(self, key: str, value: str) -> None:
        self.requests += 1
        self.values[key] = value

    def add(self, key: str, amount: int) -> int:
        self.requests += 1
        self.values[key] = str(int(self.values.get(key, 0)) + amount)
        return int(self.values[key])

    def check(self, keys: list[str]) -> bool:
        self.requests += 1
        return all(key in self.values for key in keys)

    def multi_get(self, keys: list[str]) -> list[bytes]:
        self.requests += 1
        return [self.values[key].encode() for key in keys]


def watched(*looks: dict[int, Heartbeat | None]) -> HeartbeatMonitor:
    """Looks at 0, 1, 2 … times STILL / 4."""
    heartbeat_monitor = HeartbeatMonitor()
    for number, heartbeats in enumerate(looks):
        heartbeat_monitor.record(heartbeats, number * STILL / 4)
    return heartbeat_monitor


def test_a_stopped_process_is_blamed_even_if_it_waited_but_not_too_early():
    looks = [{0: Heartbeat(n, 7, WAITING), 1: Heartbeat(3, 7, WAITING)} for n in range(6)]
    assert not watched(*looks[:4]).hung_ranks(0.75 * STILL, STILL)
    hung = watched(*looks).hung_ranks(STILL, STILL)
    assert list(hung) == [1] and "no sign of life for 10 s" in hung[1]


def test_a_main_thread_without_progress_is_blamed_despite_heartbeats():
    looks = [{0: Heartbeat(n, 7, WAITING), 1: Heartbeat(n, 4, WORKING)} for n in range(5)]
    hung = watched(*looks).hung_ranks(STILL, STILL)
    assert list(hung) == [1] and "has made no progress" in hung[1]


def test_a_process_that_stopped_in_a_hang_is_not_reported_alive():
    looks = [{0: Heartbeat(n, 7, WAITING), 1: Heartbeat(min(n, 1), 4, WORKING)} for n in range(5)]
    assert "no sign of life for 7.5 s" in watched(*looks).hung_ranks(STILL, STILL)[1]


def test_a_slow_rank_is_not_blamed_however_long_the_others_wait():
    looks = [{0: Heartbeat(n, 7, WAITING), 1: Heartbeat(n, n // 3, WORKING)} for n in range(100)]
    heartbeat_monitor = watched(*looks)
    now = 99 * STILL / 4
    assert not heartbeat_monitor.hung_ranks(now, STILL) and not heartbeat_monitor.is_deadlock(now, STILL)


def test_a_rank_that_never_arrived_or_left_is_blamed_by_those_that_wait():
    looks = [{0: Heartbeat(n, 7, WAITING), 1: None, 2: Heartbeat(9, 9, LEFT)} for n in range(5)]
    assert not watched(*looks[:4]).hung_ranks(0.75 * STILL, STILL)
    hung = watched(*looks).hung_ranks(STILL, STILL)
    assert "has not joined the run" in hung[1] and "left the run" in hung[2] and list(hung) == [1, 2]


def test_a_rank_that_arrives_late_is_not_blamed():
    late = [None, None, None, Heartbeat(1, 0, WORKING), Heartbeat(2, 0, WORKING)]
    assert not watched(*[{0: Heartbeat(n, 7, WAITING), 1: late[n]} for n in range(5)]).hung_ranks(STILL, STILL)


def test_ranks_that_all_wait_without_progress_are_a_deadlock():
    looks = [{0: Heartbeat(n, 7, WAITING), 1: Heartbeat(n, 4, WAITING)} for n in range(5)]
    heartbeat_monitor = watched(*looks)
    assert heartbeat_monitor.is_deadlock(STILL, STILL) and not heartbeat_monitor.hung_ranks(STILL, STILL)
    looks[4][1] = Heartbeat(4, 5, WAITING)  # got on at last
    assert not watched(*looks).is_deadlock(STILL, STILL)


def test_the_report_names_rank_host_process_place_and_stack():
    place = RankTrace("forward 3 of 7, round 12", None, 'File "a.py", line 1, in read', host="node7", pid=4711)
    found = hang_report({3: "does not get on"}, {3: place})
    report = str(found)
    assert (
        found.summary
        == report.splitlines()[0]
        == "rank 3 hangs at 'forward 3 of 7, round 12' (rank 3, host node7, process 4711)"
    )
    assert 'File "a.py", line 1, in read' in report and "does not get on" in report


def test_the_report_of_many_hung_ranks_stays_readable():
    hung = dict.fromkeys(range(8, 512), "no sign of life")
    report = str(hang_report(hung, {rank: RankTrace("waiting", None, "stack " * 50) for rank in range(8, 512)}))
    assert report.startswith("ranks 8-511 hang") and report.count("last known stack") == REPORTS_SHOWN
    assert f"and {504 - REPORTS_SHOWN} more" in report


def test_the_report_of_a_lock_tells_who_waits_for_what():
    places = {rank: RankTrace("round 2", "the round's edge 2", "stack") for rank in (0, 1, 3)}
    report = str(deadlock_report(places | {2: RankTrace("round 2", "the gradients of ron", "other stack")}))
    assert "ranks 0-1, 3 (" in report and "waiting for the round's edge 2" in report
    assert "rank 2 (" in report and "waiting for the gradients of ron" in report and "other stack" in report


@pytest.mark.parametrize(("ranks", "name"), [([5], "rank 5"), ([3, 1, 2, 9], "ranks 1-3, 9"), ([0, 2], "ranks 0, 2")])
def test_ranks_are_named_in_runs(ranks, name):
    assert name_ranks(ranks) == name


def test_a_stack_is_told_without_opening_a_file(monkeypatch):
    def read(*_: object) -> None:
        raise AssertionError("a dead file system would hang here")

    monkeypatch.setattr("builtins.open", read)
    monkeypatch.setattr("os.stat", read)
    last = stack_of(sys._getframe()).splitlines()[-1]
    assert __file__ in last and "test_a_stack_is_told_without_opening_a_file" in last


@pytest.mark.parametrize("collects", [True, False])
def test_no_garbage_is_collected_while_another_threads_stack_is_read(collects):
    """Collecting may let that thread run on, and CPython 3.11 then reads frames that are gone: a segmentation fault."""
    within: list[str] = []

    def collecting(phase: str, _: object) -> None:
        if phase == "start":
            within.append(stack_of(sys._getframe()))

    def deep(calls: int) -> None:
        if calls:
            deep(calls - 1)
        else:
            read.wait()

    read, threshold = threading.Event(), gc.get_threshold()
    thread = threading.Thread(target=deep, args=(30,))
    thread.start()
    gc.set_threshold(1)
    gc.callbacks.append(collecting)
    try:
        if not collects:
            gc.disable()
        assert stack_of_thread(thread.ident or 0).count("in test_no_garbage") > 20
        assert gc.isenabled() == collects
    finally:
        gc.callbacks.remove(collecting)
        gc.set_threshold(*threshold)
        gc.enable()
        read.set()
        thread.join()
    assert not [stack for stack in within if "in stack_of\n" in stack]


def test_beats_and_whereabouts_survive_the_store():
    heartbeat, place = Heartbeat(3, 4, WAITING), RankTrace("łódź", "the “edge”", "a\nb")
    assert Heartbeat.decode(heartbeat.encode().encode()) == heartbeat
    assert RankTrace.decode(place.encode().encode()) == place


def test_finding_the_few_that_have_not_arrived_takes_few_requests():
    store = Memory()
    store.values |= {f"beat/{rank}": "1 1 working" for rank in range(512) if rank not in (17, 300)}
    watchdog = Watchdog(store, rank=0, world=512, timeout_seconds=600, on_hang=print)
    heartbeats = watchdog.read_heartbeats()
    assert [rank for rank, heartbeat in heartbeats.items() if heartbeat is None] == [17, 300]
    assert store.requests <= 40
    store.requests = 0
    watchdog.read_heartbeats()
    assert store.requests <= 5


def test_a_working_rank_makes_three_requests_and_reads_no_other_rank():
    store = Memory()
    with Watchdog(store, rank=0, world=512, timeout_seconds=2, on_hang=print) as watchdog:
        began = time.monotonic()
        while time.monotonic() - began < 0.6:
            watchdog.mark("training")
            with watchdog.waiting("the round's edge"):
                time.sleep(0.02)
        heartbeats = int(store.values["beat/0"].split()[0])
    assert heartbeats >= 2 and store.requests <= 3 * (heartbeats + 2)
    assert set(store.values) == {"beat/0", "stack/0"}


class Fixture:
    """A rank that waits in a thread of its own, and how it would have left."""

    def __init__(self, store: Memory, on_hang=print, *, rank: int = 0, timeout_seconds: float = 0.6) -> None:
        self.codes: list[int] = []
        self.left = threading.Event()
        self.watchdog = Watchdog(
            store, rank=rank, world=2, timeout_seconds=timeout_seconds, on_hang=on_hang, leave=self.leave
        )

    def leave(self, code: int) -> None:
        self.codes.append(code)
        self.left.set()

    def wait(self, within_seconds: float = 10.0) -> float:
        began = time.monotonic()
        with self.watchdog, self.watchdog.waiting("the round's edge 3"):
            assert self.left.wait(within_seconds), "the watchdog did not leave"
        assert self.codes == [1]
        return time.monotonic() - began


def test_the_report_goes_to_stderr_and_on_hang_before_the_rank_exits(capsys):
    store, told = Memory(), []
    store.set("beat/1", Heartbeat(4, 9, WORKING).encode())
    store.set("stack/1", RankTrace("reading data", None, "File x", host="node7", pid=12).encode())
    Fixture(store, told.append).wait()
    [found] = told
    report = str(found)
    for word in ("rank 1 hangs at 'reading data'", "node7", "process 12", "File x", "for the round's edge 3"):
        assert word in report
    assert report in capsys.readouterr().err
    assert store.values["verdict/text"].startswith("rank 1 hangs")


def test_only_one_rank_reports_and_the_others_follow_in_one_line(capsys):
    store, told = Memory(), []
    store.set("beat/1", Heartbeat(4, 9, WORKING).encode())
    store.set("verdict/text", "rank 1 hangs")
    Fixture(store, told.append).wait()
    assert told == [] and capsys.readouterr().err == "watchdog: rank 0 exits: rank 1 hangs\n"


def test_a_rank_exits_even_if_the_reporting_one_died_over_its_report(capsys, monkeypatch):
    monkeypatch.setattr(module, "REPORT_TIMEOUT_SECONDS", 0.2)
    store, told = Memory(), []
    store.set("beat/1", Heartbeat(4, 9, LEFT).encode())
    store.set("stack/1", RankTrace("x", None, "").encode())
    store.add("verdict", 1)
    Fixture(store, told.append).wait()
    assert told == [] and capsys.readouterr().err.startswith("watchdog: rank 0 exits: rank 1 hangs")


@pytest.mark.parametrize("fault", ["hangs", "raises"])
def test_telling_that_fails_or_hangs_does_not_keep_a_rank_from_leaving(monkeypatch, capsys, fault):
    monkeypatch.setattr(module, "REPORT_TIMEOUT_SECONDS", 0.2)
    over = threading.Event()

    def on_hang(report: HangReport) -> None:
        if fault == "raises":
            raise OSError("no space left on device")
        over.wait(10)

    store = Memory()
    store.set("beat/1", Heartbeat(4, 9, WORKING).encode())
    store.set("stack/1", RankTrace("x", None, "").encode())
    Fixture(store, on_hang).wait()
    over.set()
    assert ("no space left" in capsys.readouterr().err) == (fault == "raises")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_store_may_fail_for_a_while_but_one_that_is_gone_ends_the_rank(capsys, rank):
    class Failing(Memory):
        fails = False

        def set(self, key: str, value: str) -> None:
            if self.fails:
                raise RuntimeError("Broken pipe\nmore")
            super().set(key, value)

    store, told = Failing(), []
    fixture = Fixture(store, told.append, rank=rank, timeout_seconds=1.0)
    with fixture.watchdog:
        time.sleep(0.2)
        store.fails = True
        time.sleep(0.3)
        store.fails = False
        time.sleep(0.8)
        assert fixture.codes == []
        store.fails = True
        assert fixture.left.wait(5.0) and fixture.codes == [1]
    text = capsys.readouterr().err
    assert f"rank {rank} exits" in text and "(Broken pipe)" in text
    assert len(told) == (rank == 0)


def test_waiting_ends_where_it_began_and_every_turn_is_a_sign_of_life():
    watchdog = Watchdog(Memory(), rank=0, world=2, timeout_seconds=600, on_hang=print)
    watchdog.mark("round 1")
    with pytest.raises(KeyError), watchdog.waiting("the edge"):
        watchdog.mark("round 1, within")
        assert watchdog.now.waiting_for == "the edge"
        with watchdog.waiting("more"):
            assert watchdog.now.waiting_for == "more"
        assert watchdog.now.waiting_for == "the edge"
        raise KeyError
    assert watchdog.now.waiting_for is None and watchdog.now.doing == "round 1, within" and watchdog.now.ticks == 6


def test_a_rank_that_ends_tells_that_it_has_left():
    store = Memory()
    with Watchdog(store, rank=0, world=2, timeout_seconds=2, on_hang=print):
        time.sleep(0.05)
    assert Heartbeat.decode(store.values["beat/0"].encode()).state == LEFT


def test_a_process_that_is_alone_is_watched_by_nobody():
    before = threading.active_count()
    with NoWatchdog() as watchdog:
        watchdog.mark("round 1")
        with watchdog.waiting("nobody"):
            assert threading.active_count() == before
