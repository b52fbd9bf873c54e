"""A thread pool that runs urgent work before speculative work."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class UrgencyPool(Generic[T]):
    """A thread pool with two queues: speculative work runs only when no urgent work is waiting.

    It uses threads because decoding releases the interpreter lock. Processes would have to copy audio between address
    spaces, which costs more than decoding it.
    """

    def __init__(self, workers: int, *, name: str) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._lock = Lock()
        self._urgent: OrderedDict[Future[T], Callable[[], T]] = OrderedDict()
        self._speculative: OrderedDict[Future[T], Callable[[], T]] = OrderedDict()

    def submit(self, work: Callable[[], T], *, urgent: bool) -> "Future[T]":
        """Queue `work`; its exception, if any, is raised by the future's `result`."""
        future: Future[T] = Future()
        with self._lock:
            (self._urgent if urgent else self._speculative)[future] = work
        # A thread takes the most urgent work when it is free, which may not be this one. There is one call for
        # every piece of work, so all of it is done.
        self._executor.submit(self._run_next)
        return future

    def hasten(self, future: "Future[T]") -> None:
        """Make work urgent, if it has not started."""
        with self._lock:
            work = self._speculative.pop(future, None)
            if work is not None:
                self._urgent[future] = work

    def cancel(self, future: "Future[T]") -> None:
        """Discard work that has not started; running work continues to its end."""
        with self._lock:
            self._speculative.pop(future, None)
            self._urgent.pop(future, None)
        future.cancel()

    def close(self) -> None:
        """Discard waiting work, wait for running work, end the threads."""
        with self._lock:
            self._urgent.clear()
            self._speculative.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _run_next(self) -> None:
        with self._lock:
            queue = self._urgent or self._speculative
            if not queue:  # cancelled
                return
            future, work = queue.popitem(last=False)
            if not future.set_running_or_notify_cancel():
                return
        try:
            future.set_result(work())
        except BaseException as error:  # raised by `result`, as with an executor's own future
            future.set_exception(error)


@contextlib.contextmanager
def reading_pool(workers: int) -> Iterator[UrgencyPool[Any] | None]:
    """Provide a pool of threads that read audio; None for 0 workers, which means to read in the calling thread."""
    if not workers:
        yield None
        return
    pool: UrgencyPool[Any] = UrgencyPool(workers, name="mms-reader")
    try:
        yield pool
    finally:
        pool.close()
