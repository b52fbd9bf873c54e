"""What a process may use of the machine it is on: cores, memory, and how much of that memory may be page-locked.

A container or a SLURM job has less than the machine: the process's affinity, and the CPU and memory limits of its
control group (version 1 or 2) and of the groups above it. Without torch, for whoever reads ahead and for the doctor.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_ROOT, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes about 2**63 for no limit."""

PINNED_SHARE = 0.5
"""Of the free memory that the processes of a machine may page-lock between them: locked pages can be neither swapped
nor given back, and decoded audio, the page cache of the shards and other jobs need the rest."""
CACHE_SHARE = 0.8
"""Of a process's page-locked memory, for front-end features; the rest is for staging."""
LEAST_CACHE_BYTES = 64 << 20

MOST_WORKERS = 8
"""More threads than that share the interpreter's lock to no purpose."""
MOST_WORKERS_BESIDE_A_CPU_MODEL = 2
"""Where the model computes on the same cores, decoding is a hundredth of the work."""
OTHER_THREADS = 2
"""The main thread, which launches kernels, and the one that prepares the next pass."""


@dataclass(frozen=True)
class MemoryGroup:
    """Memory of a control group: its limit, and what of it is used and cannot be given back."""

    limit_bytes: int
    used_bytes: int

    @property
    def free_bytes(self) -> int:
        return max(0, self.limit_bytes - self.used_bytes)


def memory_group(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> MemoryGroup | None:
    """The tightest memory limit around this process; None if there is none."""
    found = [*_memory_groups(root, membership)]
    return min(found, key=lambda group: group.free_bytes, default=None)


def cgroup_cores(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> float | None:
    """Cores' worth of time that the control groups around this process allow it; None if they do not limit it."""
    quotas = []
    for folder in _folders(root, membership, "cpu"):
        pair = _numbers(folder / "cpu.max")  # version 2; without a limit it says "max 100000"
        if not pair:
            pair = [*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us")]
        if len(pair) == 2 and min(pair) > 0:  # version 1 writes -1 for no limit
            quotas.append(pair[0] / pair[1])
    return min(quotas, default=None)


def free_host_bytes(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Memory that is not in use, within the limits of the control groups around this process."""
    group = memory_group(root, membership)
    free = int(psutil.virtual_memory().available)
    return free if group is None else min(free, group.free_bytes)


def affinity() -> frozenset[int]:
    """The cores that this process may run on."""
    return frozenset(os.sched_getaffinity(0))


def loader_workers(cores: float, *, on_gpu: bool) -> int:
    """Threads that read and decode ahead, for a process with so many cores."""
    most = MOST_WORKERS if on_gpu else MOST_WORKERS_BESIDE_A_CPU_MODEL
    return max(1, min(most, int(cores) - OTHER_THREADS))


def pinned_budget_bytes(ranks_on_machine: int, limit_bytes: int | None, host_bytes: int) -> int:
    """Memory that one process may page-lock, for staging and front-end features together.

    Args:
        ranks_on_machine: processes of the run on this machine, which share it.
        limit_bytes: what the control group leaves them, see `memory_group`; None without one.
        host_bytes: memory of the machine that is free.
    """
    most = host_bytes if limit_bytes is None else min(host_bytes, limit_bytes)
    return max(0, int(PINNED_SHARE * most)) // max(1, ranks_on_machine)


def feature_cache_bytes(pinned_bytes: int) -> int:
    """Of a process's page-locked memory, what front-end features take where the configuration leaves it open.

    Never nothing: whether there is a cache decides with which others an utterance passes the front end.
    """
    return max(LEAST_CACHE_BYTES, int(CACHE_SHARE * pinned_bytes))


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
    """Those of the process's control groups and of all above them. In a container the root is often its own."""
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
    """A line of `memory.stat`, 0 if it has none."""
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
