"""Ranks of one start find each other, whatever earlier starts have left in the launcher's store."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from mms_dist.distributed.meeting import meet
from mms_dist.errors import CommError

WORLD = 4


@pytest.fixture
def server() -> Iterator[TCPStore]:
    yield TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))


def client(server: TCPStore) -> TCPStore:
    return TCPStore("127.0.0.1", server.port, is_master=False, timeout=timedelta(seconds=10))


def start(server: TCPStore, ranks: list[int], *, longest_seconds: float = 10) -> list[str]:
    with ThreadPoolExecutor(len(ranks)) as pool:
        calls = [
            pool.submit(meet, client(server), rank=rank, world=WORLD, longest_seconds=longest_seconds) for rank in ranks
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
    assert meet(client(server), rank=0, world=1)
