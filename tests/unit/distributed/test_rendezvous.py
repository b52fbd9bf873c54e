"""Ranks of one start find each other, whatever earlier starts have left in the launcher's store."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from mms_dist.distributed import startup_waits
from mms_dist.distributed.rendezvous import rendezvous
from mms_dist.distributed.startup_waits import StartupWait
from mms_dist.errors import CommError, ConfigError, PeerError, StoppedEarly

WORLD = 4


@pytest.fixture
def server() -> Iterator[TCPStore]:
    yield TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))


def client(server: TCPStore) -> TCPStore:
    return TCPStore("127.0.0.1", server.port, is_master=False, timeout=timedelta(seconds=10))


def start(server: TCPStore, ranks: list[int], *, longest_seconds: float = 10) -> list[str]:
    with ThreadPoolExecutor(len(ranks)) as pool:
        calls = [
            pool.submit(rendezvous, client(server), rank=rank, world=WORLD, longest_seconds=longest_seconds)
            for rank in ranks
        ]
        return [call.result() for call in calls]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_all_ranks_of_a_start_have_one_name_that_no_other_start_has(server: TCPStore, order: list[int]) -> None:
    names = [start(server, order) for _ in range(3)]
    assert all(len(set(of_a_start)) == 1 for of_a_start in names)
    assert len({of_a_start[0] for of_a_start in names}) == 3


def test_ranks_that_died_while_they_met_are_not_waited_for(server: TCPStore) -> None:
    with pytest.raises(CommError, match="rank 0"):
        start(server, [1, 2], longest_seconds=0.3)
    server.add("meeting/hellos", 1)  # one that was killed before it could say its word
    assert len(set(start(server, [3, 1, 2, 0]))) == 1


def test_ranks_that_do_not_come_are_named(server: TCPStore) -> None:
    with pytest.raises(CommError, match="ranks 2, 3, which"):
        start(server, [0, 1], longest_seconds=0.5)


def test_a_rank_alone_waits_for_nobody(server: TCPStore) -> None:
    assert rendezvous(client(server), rank=0, world=1)


def attempt(server: TCPStore, ranks: list[tuple[int, int]], stopped: int | None = None) -> list[BaseException | str]:
    """What becomes of processes of these ranks and worlds; one is asked to stop once those that come have met."""
    stop_at = time.monotonic() + 0.8

    def one(rank: int, world: int) -> BaseException | str:
        wait = StartupWait(f"rank {rank} of {world}", "here", lambda: rank == stopped and time.monotonic() > stop_at)
        try:
            return rendezvous(client(server), rank=rank, world=world, longest_seconds=10, wait=wait)
        except BaseException as error:
            return error

    with ThreadPoolExecutor(len(ranks)) as pool:
        return list(pool.map(lambda each: one(*each), ranks))


def test_nobody_goes_on_before_all_have_come(server: TCPStore) -> None:
    with pytest.raises(CommError, match="rank 1 of 4 waited for ranks 2, 3, which"), ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(rendezvous, client(server), rank=rank, world=WORLD, longest_seconds=0.5) for rank in (0, 1)
        ]
        calls[1].result()


def test_ranks_that_were_told_of_different_worlds_end_with_both_numbers(server: TCPStore) -> None:
    ended = attempt(server, [(0, 3), (1, 3), (2, 4)])
    assert isinstance(ended[2], ConfigError) and "WORLD_SIZE 4, but rank 0 with WORLD_SIZE 3" in str(ended[2])
    assert all(isinstance(each, PeerError) and each.exit_code == 2 for each in ended[:2])


def test_two_processes_of_one_rank_end_with_its_number(server: TCPStore) -> None:
    ended = attempt(server, [(0, 3), (1, 3), (1, 3)])
    assert any(isinstance(each, ConfigError) and "RANK 1 of 3" in str(each) for each in ended[1:])
    assert isinstance(ended[0], PeerError)


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_rank_that_is_stopped_takes_those_that_have_come_along(server: TCPStore, stopped: int) -> None:
    others = [rank for rank in (0, 1, 2) if rank != stopped]
    ended = attempt(server, [(rank, 4) for rank in (0, 1, 2)], stopped=stopped)
    assert isinstance(ended[stopped], StoppedEarly)
    told = [ended[rank] for rank in others]
    assert all(isinstance(each, PeerError) and each.exit_code == 75 for each in told)


def test_who_is_missing_is_told_while_it_is_waited_for(
    server: TCPStore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(startup_waits, "FIRST_NOTICE_SECONDS", 0.2)
    with pytest.raises(CommError):
        start(server, [0, 1], longest_seconds=1.0)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2, "once each in so short a time"
    assert all("s for ranks 2-3 at the rendezvous before training" in line for line in lines)
    assert {line.split(" has")[0] for line in lines} == {"rank 0 of 4", "rank 1 of 4"}
