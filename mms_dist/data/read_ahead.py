"""Read the next items while the current ones are being processed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

from mms_dist.data.pool import UrgencyPool

T = TypeVar("T")


def read_ahead(
    pool: UrgencyPool[list[T]] | None, jobs: Iterable[Sequence[Callable[[], list[T]]]], *, ahead: int
) -> Generator[list[T], None, None]:
    """Yield the joined results of each job's pieces, job by job in order.

    While the caller processes one job's result, the pool's threads run the pieces of the next `ahead` jobs. Without a
    pool, each job runs when its result is requested. An error is raised in place of its job's result; the remaining
    work is then cancelled, as it is when the caller stops early.
    """
    if pool is None:
        for pieces in jobs:
            yield [item for piece in pieces for item in piece()]
        return
    started: deque[list[Future[list[T]]]] = deque()
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
