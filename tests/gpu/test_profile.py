"""What is read out of a profile, on events as torch's profiler gives them."""

from types import SimpleNamespace

import pytest
from torch.autograd.profiler_util import Interval

from tests.gpu.profile import _busy_ms, _top, _waits


def event(name: str, start: float, end: float | None = None) -> SimpleNamespace:
    return SimpleNamespace(name=name, time_range=Interval(start, start + 1 if end is None else end))


RUNTIME = [
    event("cudaDeviceSynchronize", 0),  # the profiler's own
    event("cudaLaunchKernel", 10),
    event("cudaStreamSynchronize", 20),
    event("cudaEventSynchronize", 25),
    event("cudaMemcpyAsync", 28),
    event("cuLaunchKernelEx", 30),
    event("cudaStreamSynchronize", 40),  # the round's losses
]
ON_DEVICE = [
    event("gemm", 11, 21),
    event("Memcpy HtoD (Pageable -> Device)", 15, 25),
    event("Memcpy HtoD (Pinned -> Device)", 26, 27),
    event("gemm", 30, 35),
]


def test_waits_count_between_the_first_launch_and_the_last() -> None:
    found = _waits(RUNTIME, ON_DEVICE)
    assert found == {"cudaStreamSynchronize": 1, "cudaEventSynchronize": 1, "copy from pageable memory": 1}
    assert _waits([], ON_DEVICE) == {}


def test_the_device_is_busy_while_at_least_one_kernel_runs() -> None:
    assert _busy_ms(ON_DEVICE) == pytest.approx((14 + 1 + 5) / 1e3)


def test_the_kernels_that_take_longest_come_first() -> None:
    name, count, ms = _top(ON_DEVICE)[0]
    assert (name, count) == ("gemm", 2) and ms == pytest.approx(15 / 1e3)
