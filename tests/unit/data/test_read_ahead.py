"""Reading ahead gives what reading gives, in order, and leaves nothing behind."""

import contextlib
from collections.abc import Callable
from threading import Event

import pytest

from mms_dist.data.prefetcher import read_ahead
from mms_dist.data.urgency_pool import UrgencyPool, reading_pool


def pieces_of(job: int, sizes: list[int]) -> list[Callable[[], list[tuple[int, int]]]]:
    return [lambda piece=piece, size=size: [(job, piece)] * size for piece, size in enumerate(sizes)]  # type: ignore[misc]


SIZES = [[2, 1], [], [3], [0, 0], [1, 1, 1], [4]]
EXPECTED = [[(job, piece) for piece, size in enumerate(sizes) for _ in range(size)] for job, sizes in enumerate(SIZES)]


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("ahead", [0, 1, 9])
def test_every_job_gives_its_own_pieces_in_order(workers: int, ahead: int) -> None:
    with reading_pool(workers) as pool:
        found = list(read_ahead(pool, (pieces_of(job, sizes) for job, sizes in enumerate(SIZES)), ahead=ahead))
    assert found == EXPECTED


def test_no_more_jobs_are_begun_than_asked_for() -> None:
    begun: list[int] = []

    def piece(job: int) -> list[int]:
        begun.append(job)
        return [job]

    with reading_pool(2) as pool:
        jobs = read_ahead(pool, ([lambda job=job: piece(job)] for job in range(50)), ahead=3)  # type: ignore[misc]
        assert next(jobs) == [0]
        jobs.close()
    assert set(begun) <= {0, 1, 2, 3}


def test_an_error_comes_when_its_job_is_due_and_what_waits_is_dropped() -> None:
    started, release, later = Event(), Event(), []

    def broken() -> list[int]:
        raise OSError("gone")

    def held() -> list[int]:
        started.set()
        release.wait(5)
        return [1]

    pool: UrgencyPool[list[int]] = UrgencyPool(1, name="test")
    with contextlib.closing(pool):
        jobs = read_ahead(pool, iter([[lambda: [0]], [broken], [held], [lambda: later.append(1) or [2]]]), ahead=3)  # type: ignore[func-returns-value]
        assert next(jobs) == [0]
        assert started.wait(5)
        with pytest.raises(OSError, match="gone"):
            next(jobs)
        release.set()
    assert later == []
