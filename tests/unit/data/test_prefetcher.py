"""A prefetcher yields what `map` would, and leaves no work behind, with and without a thread."""

import itertools
import threading
from collections.abc import Iterator

import pytest
import torch

from mms_dist.data.prefetcher import Prefetcher

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False])
def prefetcher(request: pytest.FixtureRequest) -> Iterator[Prefetcher]:
    work = Prefetcher(CPU, depth=2, threaded=request.param)
    yield work
    work.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mms-ahead")]


def test_results_come_in_order_and_none_is_begun_before_its_turn(prefetcher: Prefetcher) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item * item

    for number, result in enumerate(prefetcher.map(work, range(9))):
        assert result == number**2 and max(begun) <= number + 2
    assert begun == [*range(9)]


def test_the_time_in_which_results_were_waited_for_is_kept(
    prefetcher: Prefetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr("mms_dist.data.prefetcher.perf_counter", lambda: next(clock))
    assert prefetcher.waited_seconds == 0
    assert [*prefetcher.map(str, range(3))] == ["0", "1", "2"]
    assert prefetcher.waited_seconds == 3, "a tick of the clock for every result"


def test_an_error_comes_where_its_result_would_and_nothing_runs_after_it(prefetcher: Prefetcher) -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("utterance 3")
        return item

    results = prefetcher.map(work, range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="utterance 3") as raised:
        next(results)
    assert "work" in [frame.name for frame in raised.traceback]  # where it came from
    assert max(begun) <= 5 and [*results] == []


def test_closing_waits_for_what_has_begun_and_begins_no_more(prefetcher: Prefetcher) -> None:
    ended: list[int] = []
    gate = threading.Event()

    def work(item: int) -> int:
        if item:
            gate.wait(0.05)
        ended.append(item)
        return item

    results = prefetcher.map(work, range(9))
    assert next(results) == 0
    results.close()
    done = len(ended)
    gate.wait(0.1)
    assert len(ended) == done <= 3
