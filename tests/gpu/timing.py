"""Times on a device that works while the host goes on: it is drained before a clock is read."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import torch

from tests.benchmarks.measure import Timing, alternate

Work = Callable[[], object]


def drained(work: Work, device: torch.device) -> Work:
    """`work`, and then wait until the device has done it."""

    def call() -> None:
        work()
        synchronize(device)

    return call


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def once(work: Work, device: torch.device) -> float:
    """Seconds of one call from a drained device to a drained device."""
    synchronize(device)
    began = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - began


def median(work: Work, device: torch.device, *, repeats: int = 5) -> float:
    """Median seconds of several calls, after one that warms up."""
    once(work, device)
    return statistics.median(once(work, device) for _ in range(repeats))


def first_and_later(works: Iterable[Work], device: torch.device) -> dict[str, list[float]]:
    """Ms of the first call of each work, and the median of its later ones. The first work loads libraries and kernels,
    and is not told."""
    first, later = [], []
    for work in works:
        first.append(1e3 * once(work, device))
        later.append(1e3 * median(work, device))
    return {"first": first[1:], "later": later[1:]}


def in_turn(sides: Mapping[str, Work], device: torch.device, *, repeats: int, warmups: int = 1) -> dict[str, Timing]:
    """Both sides alternated in one process, every other time in the opposite order."""
    synchronize(device)
    return alternate({name: drained(work, device) for name, work in sides.items()}, repeats=repeats, warmups=warmups)
