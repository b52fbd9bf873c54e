"""The hardware of a run, as its ranks find it and agree on it. Settings chosen by hardware must suit all ranks."""

import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from mms_dist.distributed.comm import Comm
from mms_dist.machine import (
    affinity,
    boot_id,
    cgroup_cores,
    free_host_bytes,
    free_machine_bytes,
    pinned_budget_bytes,
)

FLASH_CAPABILITY = (8, 0)
"""Lowest compute capability with bfloat16 and flash attention kernels (Ampere)."""

CONTEXT_BYTES = 512 << 20
"""CUDA's context with loaded kernels and cuBLAS's workspace: about half a GiB on recent cards."""
INDUCTOR_CAPABILITY = (7, 0)
"""Lowest compute capability for which Triton, and so torch.compile, generates kernels."""


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """The device of one rank and its share of the machine; or, as returned by `least`, what every rank has at least."""

    on_gpu: bool = False
    names: tuple[str, ...] = ()
    """Names of the GPUs, without duplicates."""
    capability: tuple[int, int] = (0, 0)
    free_bytes: int | None = None
    """Free device memory for this process; None on a CPU, or if it is not known."""
    threads: int = 1
    """Threads that torch chose for CPU operations."""
    cores: float = 1.0
    """This process's share of the CPU cores."""
    pinned_bytes: int = 0
    """Host memory that this process may page-lock."""
    world: int = 1
    base_is_sharded: bool = False
    """Whether ZeRO-3 shards the base."""

    @property
    def has_bfloat16(self) -> bool:
        """Whether bfloat16 arithmetic is native. On a CPU, torch always supports it."""
        return not self.on_gpu or self.capability >= FLASH_CAPABILITY

    @property
    def has_flash(self) -> bool:
        return self.on_gpu and self.capability >= FLASH_CAPABILITY

    @property
    def can_compile(self) -> bool:
        return not self.on_gpu or self.capability >= INDUCTOR_CAPABILITY

    def __str__(self) -> str:
        if not self.on_gpu:
            return "the CPU"
        return f"{', '.join(self.names)} (compute capability {self.capability[0]}.{self.capability[1]})"


@dataclass(frozen=True)
class RankHardware:
    """One rank's machine and device, as reported to the other ranks.

    All ranks of a machine share its memory and cores. Containers on one machine may have different host names, so a
    machine is identified by its boot id. Control group limits apply to a container, and containers are identified by
    their host names. If two containers have the same name by chance, or a limit applies to each task of a SLURM job,
    a rank's share only becomes smaller than necessary.
    """

    host: str
    boot: str
    affinity: frozenset[int]
    quota_cores: float | None
    free_host_bytes: int
    """Free host memory within the control group limits."""
    free_machine_bytes: int
    hardware: Hardware

    def is_on_the_machine_of(self, other: "RankHardware") -> bool:
        """Compare boot ids; if there are none, compare host names."""
        return (self.boot or self.host) == (other.boot or other.host)

    def is_in_the_container_of(self, other: "RankHardware") -> bool:
        return (self.boot, self.host) == (other.boot, other.host)


def inspect_this_rank(device: torch.device, *, base_is_sharded: bool = False) -> RankHardware:
    """Inspect the machine and this process's device. Tests replace this function."""
    hardware = Hardware(threads=torch.get_num_threads(), base_is_sharded=base_is_sharded)
    if device.type == "cuda":
        free_bytes, _ = torch.cuda.mem_get_info(device)
        hardware = replace(
            hardware,
            on_gpu=True,
            names=(torch.cuda.get_device_name(device),),
            capability=torch.cuda.get_device_capability(device),
            free_bytes=free_bytes,
        )
    return RankHardware(
        host=socket.gethostname(),
        boot=boot_id(),
        affinity=affinity(),
        quota_cores=cgroup_cores(),
        free_host_bytes=free_host_bytes(),
        free_machine_bytes=free_machine_bytes(),
        hardware=hardware,
    )


def agree_on_hardware(comm: Comm, device: torch.device, *, base_is_sharded: bool = False) -> tuple[Hardware, Hardware]:
    """Return what this rank has, and what every rank has at least. One collective, at the start.

    Raises:
        PeerError, CommError: another rank is gone.
    """
    ranks = comm.all_gather(inspect_this_rank(device, base_is_sharded=base_is_sharded))
    each = [_with_its_share(mine, ranks) for mine in ranks]
    return each[comm.rank], least(each)


def minimum_share(ranks: Sequence[RankHardware], *, world: int) -> Hardware:
    """Return what every rank has at least, in a run of `world` ranks on machines like those of `ranks`."""
    return replace(least([_with_its_share(mine, ranks) for mine in ranks]), world=world)


def single_process_hardware(device: torch.device) -> Hardware:
    """Return the hardware of a process that runs without other ranks: evaluation, debugging, a measurement."""
    mine = inspect_this_rank(device)
    return _with_its_share(mine, [mine])


def assumed_hardware(
    *, on_gpu: bool, memory_gib: float | None = None, world: int = 1, base_is_sharded: bool = False
) -> Hardware:
    """Return assumed hardware for a machine that cannot be inspected; its GPUs are assumed to be recent.

    Args:
        memory_gib: total memory of a process's device.
    """
    if not on_gpu:
        return Hardware(world=world, base_is_sharded=base_is_sharded)
    free_bytes = None if memory_gib is None else max(0, int(memory_gib * 2**30) - CONTEXT_BYTES)
    return Hardware(
        on_gpu=True,
        names=("a GPU",),
        capability=FLASH_CAPABILITY,
        free_bytes=free_bytes,
        world=world,
        base_is_sharded=base_is_sharded,
    )


def least(each: Sequence[Hardware]) -> Hardware:
    """Return what all of them have at least."""
    known = [hardware.free_bytes for hardware in each if hardware.free_bytes is not None]
    return Hardware(
        on_gpu=all(hardware.on_gpu for hardware in each),
        names=tuple(sorted({name for hardware in each for name in hardware.names})),
        capability=min(hardware.capability for hardware in each),
        free_bytes=min(known, default=None),
        threads=min(hardware.threads for hardware in each),
        cores=min(hardware.cores for hardware in each),
        pinned_bytes=min(hardware.pinned_bytes for hardware in each),
        world=each[0].world,
        base_is_sharded=any(hardware.base_is_sharded for hardware in each),
    )


def _with_its_share(mine: RankHardware, ranks: Sequence[RankHardware]) -> Hardware:
    """Return a rank's hardware, with its share of what all ranks of its machine use together.

    Ranks that a launcher bound to separate cores do not share cores. All ranks share the CPU quota and the memory.
    """
    here = [other for other in ranks if other.is_on_the_machine_of(mine)]
    inside = [other for other in ranks if other.is_in_the_container_of(mine)]
    sharing = Counter(core for other in here for core in other.affinity)
    cores = sum(1 / sharing[core] for core in mine.affinity)
    if mine.quota_cores is not None:
        cores = min(cores, mine.quota_cores / len(inside))
    pinned = min(
        pinned_budget_bytes(min(other.free_machine_bytes for other in here), len(here)),
        pinned_budget_bytes(min(other.free_host_bytes for other in inside), len(inside)),
    )
    return replace(mine.hardware, cores=cores, pinned_bytes=pinned, world=len(ranks))
