"""Run work in a pool of processes, with results in the order of the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

_IN_FLIGHT_PER_WORKER = 4

Work = TypeVar("Work")
Result = TypeVar("Result")


@contextmanager
def process_pool(workers: int) -> Iterator[Executor | None]:
    """Yield a pool of processes; None for one worker, when this process does the work itself."""
    if workers <= 1:
        yield None
        return
    # Spawn rather than fork, because a progress display runs a thread.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and exit with it even if it is killed. Otherwise the workers would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def in_order(
    executor: Executor | None, function: Callable[[Work], Result], work: Iterable[Work], workers: int
) -> Iterator[Result]:
    """Like `map`, with a limit on the finished results held in memory."""
    if executor is None:
        yield from map(function, work)
        return
    waiting: deque[Future[Result]] = deque()
    for item in work:
        waiting.append(executor.submit(function, item))
        if len(waiting) >= workers * _IN_FLIGHT_PER_WORKER:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
