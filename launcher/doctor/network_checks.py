"""Checks that need several processes: whether they reach each other, share a disk and have equal clocks.

Like training, all checks use `mms_dist.distributed.comm`.
"""

import contextlib
import fcntl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from launcher.doctor.checks.run_directory import ELSEWHERE, trial_folder
from launcher.doctor.finding import FAILED, Finding, Findings, count_failures, failed, not_checked, ok, warning
from mms_dist.distributed.binding import bind_rank
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.device import computes_on_gpu
from mms_dist.distributed.placement import RankGroup
from mms_dist.distributed.process_group import joined
from mms_dist.files import write_synced

SKEW_SECONDS = 2.0
NUMBERS = 1 << 20
"""Length of the buffer that is summed over all processes, as gradients are: 4 MiB."""
NETWORK = (
    "make sure that the machines reach each other on all ports, and set the network interface between them: "
    "GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME"
)


def check_process_group(
    device: str, run_directory: Path | None, *, timeout_seconds: float, on_hang: Callable[[Finding], None]
) -> Findings:
    """Create the process group as training does, and use it.

    All processes of the job must call this. If something hangs, one process calls `on_hang` with the finding, and then
    the processes end.

    Args:
        device: `run.device`.
        run_directory: None if it is unknown.
    """
    began = time.perf_counter()
    with joined(
        on_gpu=computes_on_gpu(device),
        timeout_seconds=timeout_seconds,
        on_hang=lambda report: on_hang(Finding("network", FAILED, report.summary, NETWORK)),
        need_group=True,
    ) as comm:
        yield from _exchange(comm, device, began)
        if comm.world > 1:
            yield from (replace(finding, check="clocks") for finding in _clocks(comm))
            yield from (replace(finding, check="shared disk") for finding in _shared_disk(run_directory, comm))


def _exchange(comm: Comm, device: str, began: float) -> Findings:
    all_ranks = RankGroup(0, comm.world)
    comm.all_reduce_max([comm.rank], about="a first message from every process")
    own = bind_rank(device, comm)
    timings = []
    for place in dict.fromkeys((torch.device("cpu"), own)):
        ones = torch.ones(NUMBERS, device=place)
        comm.reduce(all_ranks, ones)  # the first call opens the connections
        before = time.perf_counter()
        comm.reduce(all_ranks, ones)
        right = bool((ones == float(comm.world) ** 2).all())  # also waits for a GPU
        seconds = time.perf_counter() - before
        name = "NCCL" if place.type == "cuda" else "gloo"
        if not right:
            yield failed(f"a sum over all processes with {name} is wrong", "look for a broken network card or GPU")
        timings.append(f"{name} sums {ones.nbytes >> 20} MiB in {1000 * seconds:,.1f} ms")
    who = "this process alone" if comm.world == 1 else f"{comm.world} processes"
    details = "" if comm.world == 1 else f"; {', '.join(timings)}"
    yield ok(f"{who}: connected in {time.perf_counter() - began:.1f} s{details}")


def _clocks(comm: Comm) -> Findings:
    comm.all_reduce_max([0], about="the same moment")
    times = comm.all_gather(time.time())  # all ranks leave the reduction within milliseconds
    skew = max(times) - min(times)
    if skew > SKEW_SECONDS:
        ahead = times.index(max(times))
        yield warning(
            f"clocks differ by {skew:,.1f} s; the clock of rank {ahead} is ahead",
            "synchronise the clocks (chronyd, ntpd): SLURM's credentials, ages and curves depend on them",
        )
    else:
        yield ok(f"clocks agree within {skew:.2g} s")


def _shared_disk(directory: Path | None, comm: Comm) -> Findings:
    """Write and lock a file in the run directory on rank 0; all other ranks must see the file and the lock."""
    if directory is None:
        yield not_checked("needs the configuration, which names the run directory")
        return
    with contextlib.ExitStack() as stack:
        path, failures = None, 0
        if comm.is_first:
            with contextlib.suppress(OSError):  # the run directory check reports it
                path = _locked_file(stack, directory)
        path = comm.all_gather(path)[0]
        if path is not None and not comm.is_first:
            failures = yield from count_failures(_look_from_elsewhere(path, directory))
        comm.all_reduce_max([0], about="the other ranks to check the file")
    if path is None:
        yield not_checked(f"{directory} cannot be written")
    elif not failures:
        yield ok(f"all processes share {directory} and respect each other's locks there")


def _locked_file(stack: contextlib.ExitStack, directory: Path) -> Path:
    path = stack.enter_context(trial_folder(directory)) / "locked"
    write_synced(path, str(path).encode())
    file = stack.enter_context(path.open("rb"))
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path


def _look_from_elsewhere(path: Path, directory: Path) -> Findings:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        yield failed(
            f"a file that another machine wrote in {directory} is not visible here: {error.strerror or error}",
            "choose a run.directory on a disk that all machines share",
        )
        return
    yield failed(
        f"a file in {directory} that another machine has locked (flock) can also be locked here",
        f"mount it with file locks (Lustre: -o flock), or {ELSEWHERE}",
    )
