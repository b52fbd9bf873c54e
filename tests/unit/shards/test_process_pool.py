"""Results come in order, and a process that dies fails its own work alone."""

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from shards.process_pool import WorkerPool


def half(number):
    if number < 0:
        os._exit(9)
    return number / 2


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_the_work(workers):
    with WorkerPool(workers) as pool:
        for count in (0, 1, 30):
            assert list(pool.in_order(half, range(count))) == [number / 2 for number in range(count)]


def test_work_goes_on_after_a_process_has_died():
    with WorkerPool(2) as pool:
        with pytest.raises(BrokenProcessPool):
            list(pool.in_order(half, [1, 2, -1]))
        assert list(pool.in_order(half, [4, 6])) == [2, 3]
