"""Every rank on a device of its own, and the line between them tried, before anything else happens on either.

Launchers tell a process its number on its machine as LOCAL_RANK (torchrun, accelerate, deepspeed), or not at all; what
it sees may be all GPUs of the machine, one of its own, or an instance of one (MIG). So ranks tell each other where they
are and which GPU they took, and nothing is taken for granted but that.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.device import choose_device, why_no_gpu
from mms_dist.distributed.first_sum import try_first_sum
from mms_dist.distributed.gpu import describe, identity, try_gpu
from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.patience import in_thread
from mms_dist.errors import ConfigError, DeviceError
from mms_dist.machine import boot_id

TRIAL_SECONDS = 40.0
"""Of a GPU by itself. CUDA starts in one to ten seconds; a GPU that is broken may never answer."""


@dataclass(frozen=True)
class Bound:
    """What one rank tells the others of its device.

    Attributes:
        machine: differs between machines, though they may have the same host name.
        gpu: the same on two ranks only if both compute on one; None on a CPU.
        seen: GPUs that the process sees.
    """

    host: str
    machine: str
    told: str
    gpu: str | None
    seen: int
    why_none: tuple[str, str] | None = None
    """Why it sees no GPU, and the fix."""


def bind_rank(name: str, comm: Comm) -> torch.device:
    """The device on which this rank computes: chosen, torch's current one, tried, and no other rank's.

    All ranks call it together, before any other use of CUDA.

    Args:
        name: `run.device`.

    Raises:
        ConfigError: there is no such device, one is named for several ranks, two would share one, or only some ranks
            have a GPU.
        DeviceError: a GPU does not work.
        CommError: the ranks cannot sum numbers that are on their devices.
        PeerError: another rank has found such a thing.
    """
    comm.watchdog.mark("choosing a device")
    machines = comm.all_gather(_this_machine())
    local_rank = local_rank_of(os.environ, machines, comm.rank)
    device = comm.run_on_all_ranks(lambda: _choose(name, local_rank, comm.world))
    if comm.world > 1:
        os.environ["LOCAL_RANK"] = str(local_rank)  # for Accelerate and DeepSpeed, which do not count
    elif not os.environ.get("LOCAL_RANK", "").strip():
        os.environ.pop("LOCAL_RANK", None)  # they take an empty one for a number
    comm.watchdog.mark(f"computing on {device} for the first time")
    bound = comm.all_gather(comm.run_on_all_ranks(lambda: _tried(device, machines[comm.rank], comm)))
    comm.run_on_all_ranks(lambda: check_bound(bound))
    if device.type == "cuda":
        torch.cuda.set_device(device)  # of this thread: libraries and kernels that are told none compute there
    try_first_sum(comm, device)
    return device


def local_rank_of(environment: Mapping[str, str], machines: Sequence[str], rank: int) -> int:
    """This rank's number on its machine: the launcher's LOCAL_RANK, else counted from where all ranks are."""
    given = environment.get("LOCAL_RANK", "").strip()
    return max(0, int(given)) if given else list(machines[:rank]).count(machines[rank])


def check_bound(bound: Sequence[Bound]) -> None:
    """
    Raises:
        ConfigError: two ranks share a GPU, or some have one and others none.
    """
    having = [rank for rank, each in enumerate(bound) if each.gpu is not None]
    lacking = [rank for rank, each in enumerate(bound) if each.gpu is None]
    if having and lacking:
        found, fix = bound[lacking[0]].why_none or ("it sees no GPU", "give it one")
        raise ConfigError(
            f"{name_ranks(having)} found a GPU, and {name_ranks(lacking)} none: on {bound[lacking[0]].host}, {found}",
            fix=f"{fix}, or compute on CPUs with --run.device cpu",
        )
    owners: dict[str, int] = {}
    for rank in having:
        mine = bound[rank]
        first = owners.setdefault(mine.gpu or "", rank)
        if first != rank:
            here = sum(each.machine == mine.machine for each in bound)
            gpus = "1 GPU" if mine.seen == 1 else f"{mine.seen} GPUs"
            raise ConfigError(
                f"ranks {first} and {rank} would share {mine.told} on {mine.host} ({mine.gpu}): the launcher started "
                f"{here} processes on a machine with {gpus} to see, and each needs one of its own",
                fix=(
                    "start as many processes there as it has GPUs (--num_processes, --nproc-per-node), give each a "
                    "LOCAL_RANK or a CUDA_VISIBLE_DEVICES of its own (srun --gpus-per-task=1), or compute on the CPU "
                    "with --run.device cpu"
                ),
            )


def _choose(name: str, local_rank: int, world: int) -> torch.device:
    if world > 1 and name not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"run.device: found {name!r} for {world} processes",
            fix="set cpu, or auto, with which each has a GPU of its own",
        )
    return choose_device(name, local_rank)


def _tried(device: torch.device, machine: str, comm: Comm) -> Bound:
    """In a thread, as even the first question to a GPU may have no answer."""
    host = socket.gethostname()
    if device.type == "cpu":
        return Bound(host, machine, "cpu", None, 0, why_no_gpu())

    def ask() -> Bound:
        try_gpu(device)
        return Bound(host, machine, describe(device), identity(device), torch.cuda.device_count())

    try:
        return in_thread(ask, longest_seconds=TRIAL_SECONDS, check=comm.check_stop)
    except TimeoutError:
        raise silent_gpu(device) from None


def silent_gpu(device: torch.device) -> DeviceError:
    """What to say of a GPU that has not answered within `TRIAL_SECONDS`."""
    return DeviceError(
        f"{socket.gethostname()}: {device} has not multiplied two small matrices within {TRIAL_SECONDS:g} s",
        fix=(
            "look there at what nvidia-smi and dmesg (Xid) say, leave that machine out (--exclude) or have it reset, "
            "and run the same command again"
        ),
    )


def _this_machine() -> str:
    """Host name and boot: containers of one machine may have names of their own, and machines may share a name."""
    return f"{socket.gethostname()} {boot_id()}"
