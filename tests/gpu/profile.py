"""What the device did in one call of some work, and where the host waited for it."""

import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tests.gpu.timing import Work, synchronize

TOP = 25
_LAUNCH = ("cudaLaunchKernel", "cuLaunchKernel")  # with suffixes: …ExC, …Ex
_PAGEABLE = "Pageable"


@dataclass(frozen=True)
class Profile:
    """Attributes:
    kernels: number of kernels and copies.
    busy_ms: in which at least one of them ran.
    waits: what the host called that waits for the device, between the first launch and the last, by name.
    copies: of memory, by kind.
    top: the kernels that took longest: name, number, ms.
    """

    wall_ms: float
    kernels: int
    busy_ms: float
    waits: dict[str, int]
    copies: dict[str, int]
    top: list[tuple[str, int, float]]

    def told(self, passes: int) -> dict[str, object]:
        return {
            "passes": passes,
            "wall ms": self.wall_ms,
            "device busy ms": self.busy_ms,
            "device busy": self.busy_ms / self.wall_ms,
            "kernels a pass": self.kernels / passes,
            "waits": self.waits,
            "copies": self.copies,
            "top kernels: number, ms": {name: (count, ms) for name, count, ms in self.top},
        }


def profiled(work: Work, device: torch.device) -> Profile:
    """One call. Everything it does should have been done once before. On a CPU only the time means something:
    it launches no kernels.

    Operations of torch are not recorded: that would slow the host down. (Read in torch 2.13: `kineto_shim.cpp` records
    calls of the CUDA runtime and driver with the CUDA activities; `torch/autograd/profiler.py` gives them as events
    of the CPU, kernels and copies as those of CUDA, in microseconds.) What the profiler itself calls on the host lies
    before the first launch or after the last.
    """
    synchronize(device)
    activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as recorded:
        began = time.perf_counter()
        work()
        synchronize(device)
        wall = time.perf_counter() - began
    events = recorded.events()
    on_device = [event for event in events if event.device_type == DeviceType.CUDA]
    copies = dict(Counter(event.name for event in on_device if "Memcpy" in event.name))
    runtime = [event for event in events if event.device_type == DeviceType.CPU and event.name.startswith("cu")]
    return Profile(1e3 * wall, len(on_device), _busy_ms(on_device), _waits(runtime, on_device), copies, _top(on_device))


def _busy_ms(on_device: Iterable[Any]) -> float:
    busy, last = 0.0, 0.0
    for start, end in sorted((event.time_range.start, event.time_range.end) for event in on_device):
        busy += max(0.0, end - max(start, last))
        last = max(last, end)
    return busy / 1e3


def _waits(runtime: Iterable[Any], on_device: Iterable[Any]) -> dict[str, int]:
    launches = [event.time_range.start for event in runtime if event.name.startswith(_LAUNCH)]
    if not launches:
        return {}
    first, last = min(launches), max(launches)
    waits = Counter(
        event.name
        for event in runtime
        if first < event.time_range.start < last and ("Synchronize" in event.name or event.name == "cudaMemcpy")
    )
    waits.update("copy from pageable memory" for event in on_device if _PAGEABLE in event.name and "HtoD" in event.name)
    return dict(waits)


def _top(on_device: Iterable[Any]) -> list[tuple[str, int, float]]:
    found: dict[str, tuple[int, float]] = {}
    for event in on_device:
        count, total = found.get(event.name[:90], (0, 0.0))
        found[event.name[:90]] = (count + 1, total + event.time_range.elapsed_us() / 1e3)
    order = sorted(found.items(), key=lambda item: -item[1][1])
    return [(name, count, ms) for name, (count, ms) in order[:TOP]]


def synchronizing_operations(work: Work, device: torch.device) -> list[str]:
    """What torch itself says of each of its operations that waits for the device: `c10/cuda/CUDAFunctions.cpp` warns
    whenever it copies and waits, or waits for a stream. (Waits for events it does not know; the profile does.)"""
    if device.type != "cuda":
        work()
        return []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return [str(one.message).splitlines()[0] for one in told if "synchronizing" in str(one.message)]
