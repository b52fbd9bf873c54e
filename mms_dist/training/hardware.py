"""What a run computes on, as its ranks find it and agree on it: what is chosen from that must suit all of them."""

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
"""Compute capability from which there are bfloat16 and flash attention kernels (Ampere)."""

CONTEXT_BYTES = 512 << 20
"""CUDA's context with the kernels that are loaded and cuBLAS's workspace: about half a GiB on recent cards."""
INDUCTOR_CAPABILITY = (7, 0)
"""From which Triton, and with it torch.compile, makes kernels."""


@dataclass(frozen=True)
class Hardware:
    """The device of one rank and its part of the machine; or, after `least`, what every rank has at least."""

    on_gpu: bool = False
    names: tuple[str, ...] = ()
    """Of the GPUs, each once."""
    capability: tuple[int, int] = (0, 0)
    free_bytes: int | None = None
    """Device memory that this process can still have; None on a CPU, or where it is not known."""
    threads: int = 1
    """What torch chose for its operations on the CPU."""
    cores: float = 1.0
    """That this process has for itself."""
    pinned_bytes: int = 0
    """Host memory that this process may page-lock."""
    world: int = 1
    base_is_sharded: bool = False
    """By ZeRO-3."""

    @property
    def has_bfloat16(self) -> bool:
        """In arithmetic, and not emulated. On a CPU torch has it everywhere."""
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
class Facts:
    """What one rank tells the others.

    Memory and cores are shared by all ranks of a machine, and containers of one may have host names of their own: the
    machine is told by its boot. Limits of control groups are a container's, and host names tell containers apart; two
    that have one name by chance, or a limit for each task of a SLURM job, only make a share smaller than it could be.
    """

    host: str
    boot: str
    affinity: frozenset[int]
    quota_cores: float | None
    free_host_bytes: int
    """Within the limits of the control groups."""
    free_machine_bytes: int
    hardware: Hardware

    def is_on_the_machine_of(self, other: "Facts") -> bool:
        """Where no boot is known, machines are told apart by their names."""
        return (self.boot or self.host) == (other.boot or other.host)

    def is_in_the_container_of(self, other: "Facts") -> bool:
        return (self.boot, self.host) == (other.boot, other.host)


def facts_of_this_rank(device: torch.device, *, base_is_sharded: bool = False) -> Facts:
    """Look at the device, which must be this process's, and at the machine. Tests put others in its place."""
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
    return Facts(
        host=socket.gethostname(),
        boot=boot_id(),
        affinity=affinity(),
        quota_cores=cgroup_cores(),
        free_host_bytes=free_host_bytes(),
        free_machine_bytes=free_machine_bytes(),
        hardware=hardware,
    )


def agree(comm: Comm, device: torch.device, *, base_is_sharded: bool = False) -> tuple[Hardware, Hardware]:
    """What this rank has, and what every rank has at least: one collective, at the start.

    Raises:
        PeerError, CommError: another rank is gone.
    """
    facts = comm.all_gather(facts_of_this_rank(device, base_is_sharded=base_is_sharded))
    each = [_with_its_part(mine, facts) for mine in facts]
    return each[comm.rank], least(each)


def part_of_each(facts: Sequence[Facts], *, world: int) -> Hardware:
    """What every rank has at least, of a run of `world` ranks with such machines as these ranks are on."""
    return replace(least([_with_its_part(mine, facts) for mine in facts]), world=world)


def alone(device: torch.device) -> Hardware:
    """What a process has that works by itself: evaluation, debugging, a measurement."""
    facts = facts_of_this_rank(device)
    return _with_its_part(facts, [facts])


def assumed(
    *, on_gpu: bool, memory_gib: float | None = None, world: int = 1, base_is_sharded: bool = False
) -> Hardware:
    """Machines elsewhere, of which little is known: GPUs are taken for recent ones.

    Args:
        memory_gib: of a process's device, all of it.
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
    """What all of them have."""
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


def _with_its_part(mine: Facts, facts: Sequence[Facts]) -> Hardware:
    """A rank's hardware with its share of what it has in common with the others of its machine.

    Ranks that a launcher bound to cores of their own do not share them; a CPU quota and memory are everyone's.
    """
    here = [other for other in facts if other.is_on_the_machine_of(mine)]
    inside = [other for other in facts if other.is_in_the_container_of(mine)]
    sharing = Counter(core for other in here for core in other.affinity)
    cores = sum(1 / sharing[core] for core in mine.affinity)
    if mine.quota_cores is not None:
        cores = min(cores, mine.quota_cores / len(inside))
    pinned = min(
        pinned_budget_bytes(min(other.free_machine_bytes for other in here), len(here)),
        pinned_budget_bytes(min(other.free_host_bytes for other in inside), len(inside)),
    )
    return replace(mine.hardware, cores=cores, pinned_bytes=pinned, world=len(facts))
