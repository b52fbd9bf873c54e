"""Threads that do urgent work before speculative work."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class UrgencyPool(Generic[T]):
    """A thread pool with two queues: speculative work waits while any urgent work does.

    Threads, not processes: decoding releases the interpreter lock, and audio need not be copied between
    address spaces, which costs more than decoding it.
    """

    def __init__(self, workers: int, *, name: str) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)
        self._lock = Lock()
        self._urgent: OrderedDict[Future[T], Callable[[], T]] = OrderedDict()
        self._speculative: OrderedDict[Future[T], Callable[[], T]] = OrderedDict()

    def submit(self, work: Callable[[], T], *, urgent: bool) -> "Future[T]":
        """Queue `work`; an exception it raises is raised by the future's `result`."""
        future: Future[T] = Future()
        with self._lock:
            (self._urgent if urgent else self._speculative)[future] = work
        # A thread takes what is most pressing when it gets there, which may be other work than this: there are
        # as many turns as pieces of work, so all of it is done.
        self._executor.submit(self._take_turn)
        return future

    def hasten(self, future: "Future[T]") -> None:
        """Make work urgent, if it still waits."""
        with self._lock:
            work = self._speculative.pop(future, None)
            if work is not None:
                self._urgent[future] = work

    def cancel(self, future: "Future[T]") -> None:
        """Drop work that still waits; what has begun ends by itself."""
        with self._lock:
            self._speculative.pop(future, None)
            self._urgent.pop(future, None)
        future.cancel()

    def close(self) -> None:
        """Drop what waits, wait for what has begun, end the threads."""
        with self._lock:
            self._urgent.clear()
            self._speculative.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _take_turn(self) -> None:
        with self._lock:
            queue = self._urgent or self._speculative
            if not queue:  # cancelled
                return
            future, work = queue.popitem(last=False)
            if not future.set_running_or_notify_cancel():
                return
        try:
            future.set_result(work())
        except BaseException as error:  # kept for whoever asks for the result, as an executor's own future does
            future.set_exception(error)


@contextlib.contextmanager
def reading_pool(workers: int) -> Iterator[UrgencyPool[Any] | None]:
    """A pool of so many threads that read audio; None without any, which means: read where it is needed."""
    if not workers:
        yield None
        return
    pool: UrgencyPool[Any] = UrgencyPool(workers, name="mms-reader")
    try:
        yield pool
    finally:
        pool.close()
