"""Give every rank its own device, and test the devices and the connections between them before anything else.

Launchers pass a process its number on its machine as LOCAL_RANK (torchrun, accelerate, deepspeed), or not at all. A
process may see all GPUs of the machine, only its own, or a MIG instance of one. So this module assumes nothing: ranks
tell each other which machine they are on and which GPU they chose.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.connection_test import check_connection
from mms_dist.distributed.device import choose_device, why_no_gpu
from mms_dist.distributed.gpu import describe, identity, try_gpu
from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.startup_waits import in_thread
from mms_dist.errors import ConfigError, DeviceError
from mms_dist.machine import boot_id

GPU_TEST_SECONDS = 40.0
"""Time limit for testing one GPU. CUDA starts in one to ten seconds; a broken GPU may never answer."""


@dataclass(frozen=True)
class BoundDevice:
    """A rank's device, as reported to the other ranks.

    Attributes:
        machine: unique to a machine, even if several machines have the same host name.
        description: the device as messages describe it.
        gpu: identifies the GPU: equal on two ranks only if they share one; None on a CPU.
        visible_gpus: number of GPUs the process sees.
    """

    host: str
    machine: str
    description: str
    gpu: str | None
    visible_gpus: int
    why_no_gpu_found: tuple[str, str] | None = None
    """Why the process sees no GPU, and the fix."""


def bind_rank(name: str, comm: Comm) -> torch.device:
    """Choose and test this rank's device, make it torch's current one, and check that no other rank uses it.

    All ranks call this together, before any other use of CUDA.

    Args:
        name: `run.device`.

    Raises:
        ConfigError: the device does not exist, one device is named for several ranks, two ranks would share a GPU, or
            only some ranks have a GPU.
        DeviceError: a GPU does not work.
        CommError: the ranks cannot sum a tensor across their devices.
        PeerError: another rank found one of these problems.
    """
    comm.watchdog.mark("choosing a device")
    machines = comm.all_gather(this_machine())
    local_rank = local_rank_of(os.environ, machines, comm.rank)
    device = comm.run_on_all_ranks(lambda: _choose(name, local_rank, comm.world))
    if comm.world > 1:
        os.environ["LOCAL_RANK"] = str(local_rank)  # for Accelerate and DeepSpeed, which cannot compute it
    elif not os.environ.get("LOCAL_RANK", "").strip():
        os.environ.pop("LOCAL_RANK", None)  # they try to parse an empty one as a number
    comm.watchdog.mark(f"computing on {device} for the first time")
    bound = comm.all_gather(comm.run_on_all_ranks(lambda: _try_device(device, machines[comm.rank], comm)))
    comm.run_on_all_ranks(lambda: check_bound(bound))
    if device.type == "cuda":
        torch.cuda.set_device(device)  # for this thread: libraries and kernels use the current device by default
    check_connection(comm, device)
    return device


def local_rank_of(environment: Mapping[str, str], machines: Sequence[str], rank: int) -> int:
    """This rank's number on its machine: the launcher's LOCAL_RANK, or else counted from all ranks' machines."""
    given = environment.get("LOCAL_RANK", "").strip()
    return max(0, int(given)) if given else list(machines[:rank]).count(machines[rank])


def check_bound(bound: Sequence[BoundDevice]) -> None:
    """Check that all ranks have a GPU of their own, or that none has one.

    Raises:
        ConfigError: two ranks share a GPU, or only some ranks have one.
    """
    having = [rank for rank, each in enumerate(bound) if each.gpu is not None]
    lacking = [rank for rank, each in enumerate(bound) if each.gpu is None]
    if having and lacking:
        found, fix = bound[lacking[0]].why_no_gpu_found or ("it sees no GPU", "give it one")
        raise ConfigError(
            f"{name_ranks(having)} found a GPU, but {name_ranks(lacking)} did not: on {bound[lacking[0]].host}, "
            f"{found}",
            fix=f"{fix}, or compute on CPUs with --run.device cpu",
        )
    owners: dict[str, int] = {}
    for rank in having:
        mine = bound[rank]
        first = owners.setdefault(mine.gpu or "", rank)
        if first != rank:
            here = sum(each.machine == mine.machine for each in bound)
            gpus = "1 GPU" if mine.visible_gpus == 1 else f"{mine.visible_gpus} GPUs"
            raise ConfigError(
                f"ranks {first} and {rank} would share {mine.description} on {mine.host} ({mine.gpu}): the launcher "
                f"started {here} processes on a machine with {gpus} visible, and each process needs its own",
                fix=(
                    "start one process per GPU there (--num_processes, --nproc-per-node), give each process its own "
                    "LOCAL_RANK or CUDA_VISIBLE_DEVICES (srun --gpus-per-task=1), or compute on the CPU with "
                    "--run.device cpu"
                ),
            )


def _choose(name: str, local_rank: int, world: int) -> torch.device:
    if world > 1 and name not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"run.device: found {name!r} for {world} processes",
            fix="set cpu, or auto, which gives each process its own GPU",
        )
    return choose_device(name, local_rank)


def _try_device(device: torch.device, machine: str, comm: Comm) -> BoundDevice:
    """Test the device in a thread, because even the first call to a broken GPU may hang."""
    host = socket.gethostname()
    if device.type == "cpu":
        return BoundDevice(host, machine, "cpu", None, 0, why_no_gpu())

    def ask() -> BoundDevice:
        try_gpu(device)
        return BoundDevice(host, machine, describe(device), identity(device), torch.cuda.device_count())

    try:
        return in_thread(ask, longest_seconds=GPU_TEST_SECONDS, check=comm.check_stop)
    except TimeoutError:
        raise silent_gpu(device) from None


def silent_gpu(device: torch.device) -> DeviceError:
    """The error for a GPU that did not answer within `GPU_TEST_SECONDS`."""
    return DeviceError(
        f"{socket.gethostname()}: {device} did not multiply two small matrices within {GPU_TEST_SECONDS:g} s",
        fix=(
            "check nvidia-smi and dmesg (Xid) on that machine, exclude it (--exclude) or have it reset, and run the "
            "same command again"
        ),
    )


def this_machine() -> str:
    """Host name and boot ID: containers on one machine may have different names, and two machines the same one."""
    return f"{socket.gethostname()} {boot_id()}"
