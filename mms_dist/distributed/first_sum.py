"""The first sum over all ranks, from the memory that training computes in, within a bounded time.

NCCL makes its connections when it is first used, in a call that cannot be interrupted, and a broken fabric may keep it
there for ever. Without this it would show in the last hours of a run, when languages are first shared by several ranks.
"""

import socket
from collections import defaultdict

import torch

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.gpu import describe
from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.patience import in_thread
from mms_dist.errors import CommError, ExitCode, PeerError

LONGEST_SECONDS = 40.0
RANKS_A_SECOND = 64.0
"""What a large world is given on top of it: each of its ranks connects to a few others, told of by the first."""
HOSTS_SHOWN = 4
FIXES = {
    "cuda": (
        "it is carried by NVLink, PCIe, InfiniBand or Ethernet between the GPUs: run the same command with "
        "NCCL_DEBUG=INFO to see where it stops, name the interface between machines with NCCL_SOCKET_IFNAME, try "
        "NCCL_IB_DISABLE=1 (without InfiniBand) or NCCL_P2P_DISABLE=1 (without direct copies between GPUs), or leave "
        "out a machine (--exclude)"
    ),
    "cpu": "see that the machines reach each other on all ports, and name the interface with GLOO_SOCKET_IFNAME",
}
_ONE_GPU_TWICE = (
    "they are instances (MIG) of one GPU, which NCCL connects only in its newest versions and with "
    "NCCL_MULTI_RANK_GPU_ENABLE=1: use one instance of each GPU, or the whole GPU"
)


def try_first_sum(comm: Comm, device: torch.device) -> None:
    """Sum a one of every rank, and see that the sum is right. All ranks call it together.

    Raises:
        CommError, on rank 0: it says on which ranks this failed, or gave no result in time.
        PeerError: on the others.
    """
    kind = "NCCL" if device.type == "cuda" else "gloo"
    comm.all_reduce_max([0], about="all devices to be ready")  # so that the time begins for all at once
    with comm.watchdog.waiting(f"the first sum over all ranks by {kind}"):
        problem = _problem(comm, device, LONGEST_SECONDS + comm.world / RANKS_A_SECOND)
    ranks, places = defaultdict[str, list[int]](list), []
    for rank, (said, place) in enumerate(comm.all_gather((problem, f"{socket.gethostname()}: {describe(device)}"))):
        if said is not None:
            ranks[said].append(rank)
            places.append(place)
    if not ranks:
        return
    what = ", ".join(f"{name_ranks(those)}: {said}" for said, those in ranks.items())
    where = ", ".join(places[:HOSTS_SHOWN]) + (", …" if places[HOSTS_SHOWN:] else "")
    fix = _ONE_GPU_TWICE if "Duplicate GPU" in what else FIXES[device.type]
    found = f"{kind} does not sum over the {comm.world} ranks ({what}, on {where})"
    raise CommError(found, fix) if comm.is_first else PeerError(found, ExitCode.FAILED, fix)


def _problem(comm: Comm, device: torch.device, longest_seconds: float) -> str | None:
    def ones() -> float:
        if device.type == "cuda":
            torch.cuda.set_device(device)  # the current device is each thread's own
        one = torch.ones(1, device=device)
        comm.sum_everywhere(one)
        return float(one)

    try:
        total = in_thread(ones, longest_seconds=longest_seconds, check=comm.check_stop)
    except TimeoutError:
        return f"no result within {longest_seconds:.0f} s"
    except RuntimeError as error:
        return one_line(error)
    return None if total == comm.world else f"{comm.world} ones make {total:g}"


def one_line(error: RuntimeError) -> str:
    """NCCL's words in one line, without where in its source they arose, and without what divides found from fix."""
    text = str(error).split("Exception raised from")[0]
    return " ".join(text.replace(";", ",").split())[:400] or type(error).__name__
