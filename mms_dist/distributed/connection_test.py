"""Test a sum over all ranks on the training devices, within a time limit.

NCCL connects on first use, in a call that cannot be interrupted, and a broken fabric can make that call hang forever.
Without this test, the hang would appear in the last hours of a run, when several ranks first share a language.
"""

import socket
from collections import defaultdict

import torch

from mms_dist.distributed.comm import Comm
from mms_dist.distributed.gpu import describe
from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.startup_waits import in_thread
from mms_dist.errors import CommError, ExitCode, PeerError

LONGEST_SECONDS = 40.0
RANKS_A_SECOND = 64.0
"""A large world gets one more second per 64 ranks: each rank connects to a few others, whose addresses rank 0 sends."""
HOSTS_SHOWN = 4
FIXES = {
    "cuda": (
        "check the NVLink, PCIe, InfiniBand or Ethernet connection between the GPUs: run the same command with "
        "NCCL_DEBUG=INFO to see where it stops, name the interface between machines with NCCL_SOCKET_IFNAME, try "
        "NCCL_IB_DISABLE=1 (no InfiniBand) or NCCL_P2P_DISABLE=1 (no direct copies between GPUs), or exclude a machine "
        "(--exclude)"
    ),
    "cpu": "check that the machines reach each other on all ports, and name the interface with GLOO_SOCKET_IFNAME",
}
_ONE_GPU_TWICE = (
    "use one MIG instance of each GPU, or whole GPUs: the ranks are on MIG instances of one GPU, which only the newest "
    "NCCL versions connect, with NCCL_MULTI_RANK_GPU_ENABLE=1"
)


def check_connection(comm: Comm, device: torch.device) -> None:
    """Sum a 1 from every rank and check the result. All ranks call this together.

    Raises:
        CommError: on rank 0; names the ranks on which the sum failed or timed out.
        PeerError: on all other ranks.
    """
    kind = "NCCL" if device.type == "cuda" else "gloo"
    comm.all_reduce_max([0], about="all devices to be ready")  # so that the time limit starts on all ranks at once
    with comm.watchdog.waiting(f"the first sum over all ranks by {kind}"):
        problem = _problem(comm, device, LONGEST_SECONDS + comm.world / RANKS_A_SECOND)
    ranks, places = defaultdict[str, list[int]](list), []
    for rank, (failure, place) in enumerate(comm.all_gather((problem, f"{socket.gethostname()}: {describe(device)}"))):
        if failure is not None:
            ranks[failure].append(rank)
            places.append(place)
    if not ranks:
        return
    what = ", ".join(f"{name_ranks(those)}: {failure}" for failure, those in ranks.items())
    where = ", ".join(places[:HOSTS_SHOWN]) + (", …" if places[HOSTS_SHOWN:] else "")
    fix = _ONE_GPU_TWICE if "Duplicate GPU" in what else FIXES[device.type]
    found = f"{kind} cannot sum over the {comm.world} ranks ({what}, on {where})"
    raise CommError(found, fix) if comm.is_first else PeerError(found, ExitCode.FAILED, fix)


def _problem(comm: Comm, device: torch.device, longest_seconds: float) -> str | None:
    def ones() -> float:
        if device.type == "cuda":
            torch.cuda.set_device(device)  # each thread has its own current device
        one = torch.ones(1, device=device)
        comm.sum_everywhere(one)
        return float(one)

    try:
        total = in_thread(ones, longest_seconds=longest_seconds, check=comm.check_stop)
    except TimeoutError:
        return f"no result within {longest_seconds:.0f} s"
    except RuntimeError as error:
        return one_line(error)
    return None if total == comm.world else f"the sum of {comm.world} ones is {total:g}"


def one_line(error: RuntimeError) -> str:
    """NCCL's message on one line, without the source location, and without `;`, which separates found from fix."""
    text = str(error).split("Exception raised from")[0]
    return " ".join(text.replace(";", ",").split())[:400] or type(error).__name__
