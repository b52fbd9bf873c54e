"""Work that a thread does for the next pass while the device computes this one."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Ahead:
    """Calls a function for one item after another, `depth` items before the results are used.

    Results and their order are those of `map`. On a CPU, whose cores the model needs, there is no thread and each item
    is worked on when it is asked for.

    Args:
        device: where the model computes.
        depth: items finished or begun before they are asked for.
        threaded: whether there is a thread; None: unless the device is the CPU.

    Attributes:
        waited_seconds: how long results were waited for, so far; without a thread, how long the work took.
    """

    def __init__(self, device: torch.device, *, depth: int, threaded: bool | None = None) -> None:
        self._depth = depth
        self.waited_seconds = 0.0
        self._pool: ThreadPoolExecutor | None = None
        if device.type != "cpu" if threaded is None else threaded:
            self._pool = ThreadPoolExecutor(1, "mms-ahead", initializer=_work_for, initargs=(device,))

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """The results in order; an error is raised where its result would have come.

        Nothing of it runs any more when the iterator has ended or was closed.
        """
        if self._pool is None:
            for item in items:
                yield self._waited_for(partial(function, item))
            return
        left = iter(items)
        begun: deque[Future[Result]] = deque()
        try:
            begun.extend(self._pool.submit(function, item) for item in islice(left, self._depth))
            while begun:
                yield self._waited_for(begun.popleft().result)
                begun.extend(self._pool.submit(function, item) for item in islice(left, 1))
        finally:
            wait([future for future in begun if not future.cancel()])

    def _waited_for(self, result: Callable[[], Result]) -> Result:
        began = perf_counter()
        try:
            return result()
        finally:
            self.waited_seconds += perf_counter() - began

    def close(self) -> None:
        """End the thread; returns when it is gone."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _work_for(device: torch.device) -> None:
    """What the thread allocates belongs to the process's own GPU and not to the first."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
