"""The resources that this process may use: cores, memory, and how much of that memory it may page-lock or keep.

A container or a SLURM job may use less than the whole machine. The limits are the process's CPU affinity, and the CPU
and memory limits of its control group (version 1 or 2) and of all parent groups. This module does not import torch,
because the loader and the doctor use it too.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes about 2**63 when there is no limit."""

PINNED_SHARE = 0.5
"""Share of the free memory that all processes of a machine together may page-lock. Locked pages can be neither swapped
nor reclaimed, and decoded audio, the page cache of the shards and other jobs need the rest."""

MAX_WORKERS = 8
"""More threads than this only compete for the interpreter's lock."""
MAX_WORKERS_BESIDE_A_CPU_MODEL = 2
"""When the model runs on the same cores, decoding is a hundredth of the work."""
OTHER_THREADS = 2
"""The main thread, which launches kernels, and the one that prepares the next pass."""


_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
"""Options of mallopt(3), from <malloc.h>."""


@dataclass(frozen=True)
class MemoryGroup:
    """A control group's memory limit, and the used memory that cannot be reclaimed."""

    limit_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)


def memory_group(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> MemoryGroup | None:
    """The control group that leaves this process the least free memory; None without a limit."""
    found = [*_memory_groups(root, membership)]
    return min(found, key=lambda group: group.free_bytes, default=None)


def cgroup_cores(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> float | None:
    """The CPU time, in cores, that the control groups allow this process; None without a limit."""
    quotas = []
    for folder in _folders(root, membership, "cpu"):
        pair = _numbers(folder / "cpu.max")  # version 2; "max 100000" means no limit
        if not pair:
            pair = [*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us")]
        if len(pair) == 2 and min(pair) > 0:  # version 1 writes -1 when there is no limit
            quotas.append(pair[0] / pair[1])
    return min(quotas, default=None)


def boot_id() -> str:
    """An ID shared by all containers of a machine; it differs between machines and reboots. Empty if unknown."""
    return _text(BOOT_ID_PATH).strip()


def free_machine_bytes() -> int:
    """The machine's free memory, ignoring control group limits."""
    return int(psutil.virtual_memory().available)


def free_host_bytes(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Free memory that this process may use, within its control group limits."""
    group = memory_group(root, membership)
    free = free_machine_bytes()
    return free if group is None else min(free, group.free_bytes)


def affinity() -> frozenset[int]:
    """The cores this process may run on."""
    return frozenset(os.sched_getaffinity(0))


def loader_workers(cores: float, *, on_gpu: bool) -> int:
    """The number of threads that read and decode ahead in a process with `cores` cores."""
    most = MAX_WORKERS if on_gpu else MAX_WORKERS_BESIDE_A_CPU_MODEL
    return max(1, min(most, int(cores) - OTHER_THREADS))


def pinned_budget_bytes(free_bytes: int, processes: int) -> int:
    """The memory one process may page-lock for staging and front-end features together.

    Args:
        free_bytes: free memory of the machine or container.
        processes: number of processes of the run that share it.
    """
    return max(0, int(PINNED_SHARE * free_bytes)) // max(1, processes)


def _memory_groups(root: Path, membership: Path) -> Iterator[MemoryGroup]:
    for folder in _folders(root, membership, "memory"):
        for limit_name, used_name, statistics in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _numbers(folder / limit_name)
            if limit and limit[0] < _UNLIMITED_BYTES:
                used = (_numbers(folder / used_name) or [0])[0] - _statistic(folder / "memory.stat", statistics)
                yield MemoryGroup(limit[0], max(0, used))


def _folders(root: Path, membership: Path, controller: str) -> list[Path]:
    """The folders of the process's control groups and all their parents. In a container, the root is often its own."""
    folders = {root, root / controller}
    for line in _text(membership).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "" or controller in controllers.split(","):
            top = root if controllers == "" else root / controller
            inner = top / path.lstrip("/")
            folders |= {folder for folder in (inner, *inner.parents) if folder.is_relative_to(top)}
    return sorted(folders)


def _numbers(path: Path) -> list[int]:
    return [int(word) for word in _text(path).split() if word.lstrip("-").isdigit()]


def _statistic(path: Path, name: str) -> int:
    """One value of `memory.stat`; 0 if it is missing."""
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def memory_bytes() -> int:
    """Return the peak CUDA memory allocated by this process if it uses CUDA, else its resident memory."""
    torch = sys.modules.get("torch")  # already imported if CUDA is in use
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(sum(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count())))
    return int(psutil.Process().memory_info().rss)


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed memory; return False if the C library is not glibc. Changes no result.

    The process's memory then stays near its peak, which every training step reaches anyway.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    return all([libc.mallopt(option, value) == 1 for option, value in settings])
