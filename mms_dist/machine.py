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
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes about 2**63 for no limit."""

PINNED_SHARE = 0.5
"""Of the free memory that the processes of a machine may page-lock between them: locked pages can be neither swapped
nor given back, and decoded audio, the page cache of the shards and other jobs need the rest."""

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


def boot_id() -> str:
    """The same in all containers of a machine, and different on another one and after a restart; empty if unknown."""
    return _text(_BOOT).strip()


def free_machine_bytes() -> int:
    """Memory of the machine that is not in use, whatever the control groups around this process allow it."""
    return int(psutil.virtual_memory().available)


def free_host_bytes(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """Memory that is not in use, within the limits of the control groups around this process."""
    group = memory_group(root, membership)
    free = free_machine_bytes()
    return free if group is None else min(free, group.free_bytes)


def affinity() -> frozenset[int]:
    """The cores that this process may run on."""
    return frozenset(os.sched_getaffinity(0))


def loader_workers(cores: float, *, on_gpu: bool) -> int:
    """Threads that read and decode ahead, for a process with so many cores."""
    most = MOST_WORKERS if on_gpu else MOST_WORKERS_BESIDE_A_CPU_MODEL
    return max(1, min(most, int(cores) - OTHER_THREADS))


def pinned_budget_bytes(free_bytes: int, processes: int) -> int:
    """Memory that one process may page-lock, for staging and front-end features together.

    Args:
        free_bytes: memory of a machine or a container that is free.
        processes: of the run, that share it.
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
