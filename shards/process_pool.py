"""Run work in a pool of processes, with results in the order of the work."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

_IN_FLIGHT_PER_WORKER = 4

Work = TypeVar("Work")
Result = TypeVar("Result")


class WorkerPool:
    """Processes that are started when the first work arrives. With one worker, this process does the work itself.

    with WorkerPool(8) as pool:
        for result in pool.in_order(function, work):
            …
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ProcessPoolExecutor | None = None

    def in_order(self, function: Callable[[Work], Result], work: Iterable[Work]) -> Iterator[Result]:
        """Like `map`, with a limit on the finished results held in memory.

        Raises:
            BrokenProcessPool: a process died. The next call starts new ones.
        """
        executor = self.executor()
        if executor is None:
            yield from map(function, work)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in work:
                waiting.append(executor.submit(function, item))
                if len(waiting) >= self._workers * _IN_FLIGHT_PER_WORKER:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            self.close()
            raise
        finally:
            for future in waiting:  # of a caller that stopped early
                future.cancel()

    def executor(self) -> ProcessPoolExecutor | None:
        """Return the processes, started; None with one worker."""
        if self._workers > 1 and self._executor is None:
            # Spawn rather than fork, because a progress display runs a thread.
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_follow_parent)
        return self._executor

    def close(self) -> None:
        """End the processes."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and exit with it even if it is killed. Otherwise the workers would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
