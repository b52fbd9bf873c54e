"""What a process may use of its machine, under control groups of both versions."""

import subprocess
import sys
from pathlib import Path

import pytest

from mms_dist.machine import (
    MemoryGroup,
    cgroup_cores,
    free_host_bytes,
    keep_freed_memory,
    loader_workers,
    memory_group,
    pinned_budget_bytes,
)

GIB = 1 << 30
UNLIMITED = "9223372036854771712"


def written(folder: Path, files: dict[str, str], membership: str) -> tuple[Path, Path]:
    """A tree of control groups, and the file that says in which of them a process is."""
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (folder / "cgroup").mkdir(exist_ok=True)
    (folder / "membership").write_text(membership + "\n")
    return folder / "cgroup", folder / "membership"


OF_A_JOB = {
    "a job of version 2, bounded above the task": (
        {
            "job/memory.max": str(8 * GIB),
            "job/memory.current": str(3 * GIB),
            "job/memory.stat": f"anon 5\ninactive_file {GIB}",
            "job/cpu.max": "600000 100000",
            "job/task/memory.max": "max",
            "job/task/cpu.max": "max 100000",
        },
        "0::/job/task",
        MemoryGroup(8 * GIB, 2 * GIB),
        6.0,
    ),
    "a container of version 2, whose root is its own": (
        {"memory.max": str(4 * GIB), "memory.current": "0", "cpu.max": "150000 100000"},
        "0::/",
        MemoryGroup(4 * GIB, 0),
        1.5,
    ),
    "version 2, seen under a path of the host": (
        {"memory.max": str(4 * GIB), "memory.current": str(GIB), "cpu.max": "max 100000"},
        "0::/system.slice/docker-1.scope",
        MemoryGroup(4 * GIB, GIB),
        None,
    ),
    "a job of version 1": (
        {
            "memory/memory.limit_in_bytes": UNLIMITED,
            "memory/slurm/job_7/memory.limit_in_bytes": str(2 * GIB),
            "memory/slurm/job_7/memory.usage_in_bytes": str(GIB),
            "memory/slurm/job_7/memory.stat": f"total_inactive_file {GIB // 2}",
            "cpu,cpuacct/slurm/job_7/cpu.cfs_quota_us": "-1",
            "cpu/slurm/job_7/cpu.cfs_quota_us": "250000",
            "cpu/slurm/job_7/cpu.cfs_period_us": "100000",
        },
        "9:memory:/slurm/job_7\n4:cpu,cpuacct:/slurm/job_7",
        MemoryGroup(2 * GIB, GIB // 2),
        2.5,
    ),
    "no limits": ({"memory.max": "max", "cpu.max": "max 100000"}, "0::/", None, None),
    "no control groups": ({}, "", None, None),
}


@pytest.mark.parametrize("case", OF_A_JOB)
def test_the_tightest_limit_around_a_process_counts(tmp_path: Path, case: str) -> None:
    files, membership, memory, cores = OF_A_JOB[case]
    places = written(tmp_path, files, membership)
    assert memory_group(*places) == memory
    assert cgroup_cores(*places) == cores
    assert free_host_bytes(*places) <= (free_host_bytes(tmp_path, tmp_path) if memory is None else memory.free_bytes)


@pytest.mark.parametrize(
    ("ranks", "free", "budget"),
    [(1, 8 * GIB, 4 * GIB), (8, 8 * GIB, GIB // 2), (2, 2 * GIB, GIB // 2), (4, 0, 0), (0, 8 * GIB, 4 * GIB)],
)
def test_locked_memory_is_shared_by_the_ranks_of_a_machine(ranks: int, free: int, budget: int) -> None:
    assert pinned_budget_bytes(free, ranks) == budget


@pytest.mark.parametrize(
    ("cores", "on_gpu", "workers"),
    [(0.5, True, 1), (1, True, 1), (3.9, True, 1), (8, True, 6), (128, True, 8), (2, False, 1), (64, False, 2)],
)
def test_workers_leave_cores_for_the_main_thread_and_the_one_that_stages(
    cores: float, on_gpu: bool, workers: int
) -> None:
    assert loader_workers(cores, on_gpu=on_gpu) == workers


FAULTS = """
import resource, sys
import torch
from mms_dist.machine import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("glibc refused a setting")
for turn in range(40):
    if turn == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.full((12_000_000,), 1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    run = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    return int(run.stdout)


def test_memory_that_was_freed_is_used_again_without_page_faults() -> None:
    if not keep_freed_memory():
        assert page_faults("leave") > 0  # another C library: nothing was promised
        return
    assert page_faults("keep") < page_faults("leave") / 5
