"""Prepare the next items in threads while the current one is computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TypeVar

import torch

from mms_dist.data.urgency_pool import UrgencyPool

Item = TypeVar("Item")
Result = TypeVar("Result")


class Prefetcher:
    """Calls a function for one item after another, up to `depth` items ahead of the consumer.

    Results and their order are those of the built-in `map`. On a CPU there is no thread, because the model needs the
    cores: each item is computed when it is requested.

    Args:
        device: device the model computes on.
        depth: number of items started before they are requested.
        threaded: whether to use a thread; None: unless the device is the CPU.

    Attributes:
        waited_seconds: total time spent waiting for results; without a thread, total time of the work itself.
    """

    def __init__(self, device: torch.device, *, depth: int, threaded: bool | None = None) -> None:
        self._depth = depth
        self.waited_seconds = 0.0
        self._pool: ThreadPoolExecutor | None = None
        if device.type != "cpu" if threaded is None else threaded:
            self._pool = ThreadPoolExecutor(1, "mms-ahead", initializer=_use_gpu, initargs=(device,))

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """Yield the results in order; an error is raised in place of its result.

        Once the iterator has ended or is closed, none of its work is still running.
        """
        if self._pool is None:
            for item in items:
                yield self._timed(partial(function, item))
            return
        remaining = iter(items)
        started: deque[Future[Result]] = deque()
        try:
            started.extend(self._pool.submit(function, item) for item in islice(remaining, self._depth))
            while started:
                yield self._timed(started.popleft().result)
                started.extend(self._pool.submit(function, item) for item in islice(remaining, 1))
        finally:
            wait([future for future in started if not future.cancel()])

    def _timed(self, result: Callable[[], Result]) -> Result:
        began = perf_counter()
        try:
            return result()
        finally:
            self.waited_seconds += perf_counter() - began

    def close(self) -> None:
        """End the thread and wait for it."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _use_gpu(device: torch.device) -> None:
    """Make the thread allocate on this process's GPU instead of the first one."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def read_ahead(
    pool: UrgencyPool[list[Item]] | None, jobs: Iterable[Sequence[Callable[[], list[Item]]]], *, ahead: int
) -> Generator[list[Item], None, None]:
    """Yield the joined results of each job's pieces, job by job in order.

    While the caller processes one job's result, the pool's threads run the pieces of the next `ahead` jobs. Without a
    pool, each job runs when its result is requested. An error is raised in place of its job's result; the remaining
    work is then cancelled, as it is when the caller stops early.
    """
    if pool is None:
        for pieces in jobs:
            yield [item for piece in pieces for item in piece()]
        return
    started: deque[list[Future[list[Item]]]] = deque()
    waiting = iter(jobs)
    try:
        while True:
            for pieces in islice(waiting, ahead + 1 - len(started)):
                started.append([pool.submit(piece, urgent=True) for piece in pieces])
            if not started:
                return
            yield [item for future in started[0] for item in future.result()]
            started.popleft()
    finally:
        for futures in started:
            for future in futures:
                pool.cancel(future)
