"""Read what is needed next while what was read before is computed with."""

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
    """What the pieces of each job return, joined, one job after the other in their order.

    While the caller works with one job's result, the pieces of the next `ahead` jobs are done by the pool's threads.
    Without a pool all is done when it is asked for. An error is raised when its job's turn comes; what is left then, or
    when the caller stops early, is dropped.
    """
    if pool is None:
        for pieces in jobs:
            yield [item for piece in pieces for item in piece()]
        return
    begun: deque[list[Future[list[T]]]] = deque()
    waiting = iter(jobs)
    try:
        while True:
            for pieces in islice(waiting, ahead + 1 - len(begun)):
                begun.append([pool.submit(piece, urgent=True) for piece in pieces])
            if not begun:
                return
            yield [item for future in begun[0] for item in future.result()]
            begun.popleft()
    finally:
        for futures in begun:
            for future in futures:
                pool.cancel(future)
