"""Why a rank failed reaches the others, once, and only if it is a reason."""

import pytest

from mms_dist.distributed.failure_report import FailureReport
from mms_dist.errors import CheckpointError, CommError, MmsDistError, PeerError
from shards.errors import ShardsError


class SharedStore:
    """What several ranks share, until it is gone."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}
        self.gone = False

    def set(self, key: str, value: str, /) -> None:
        self._reach()
        self.values[key] = value.encode()

    def add(self, key: str, amount: int, /) -> int:
        self._reach()
        self.counts[key] = self.counts.get(key, 0) + amount
        return self.counts[key]

    def check(self, keys: list[str], /) -> bool:
        self._reach()
        return all(key in self.values for key in keys)

    def multi_get(self, keys: list[str], /) -> list[bytes]:
        self._reach()
        return [self.values[key] for key in keys]

    def _reach(self) -> None:
        if self.gone:
            raise RuntimeError("connection reset by peer")


@pytest.mark.parametrize(
    ("error", "why", "exit_code"),
    [
        (CheckpointError("no space; free some"), "no space; free some", 2),
        (ShardsError("a shard is cut"), "a shard is cut", 2),
        (ZeroDivisionError("a bug of ours"), "a bug of ours", 1),
        (KeyError(), "KeyError", 1),
    ],
)
def test_the_others_learn_who_failed_and_why_and_end_with_its_exit_code(
    error: Exception, why: str, exit_code: int
) -> None:
    store = SharedStore()
    FailureReport(store, 3).publish(error)
    told = FailureReport(store, 0).read()
    assert told is not None
    assert (str(told), told.exit_code) == (f"rank 3 failed: {why}", exit_code)


def test_the_first_failure_is_the_reason_and_what_follows_from_it_is_none() -> None:
    store = SharedStore()
    for error in (CommError("lost a peer"), PeerError("rank 3 failed", 2)):
        FailureReport(store, 1).publish(error)
    assert FailureReport(store, 0).read() is None
    for rank in (2, 1):
        FailureReport(store, rank).publish(MmsDistError(f"it is {rank}"))
    assert str(FailureReport(store, 0).read()) == "rank 2 failed: it is 2"


def test_a_store_that_is_gone_is_no_further_failure() -> None:
    store = SharedStore()
    store.gone = True
    FailureReport(store, 1).publish(MmsDistError("the launcher's machine went down"))
    assert FailureReport(store, 0).read() is None
