"""What only several processes can find out: whether they reach each other, share a disk, and keep the same time.

Everything is done as training does it, through `mms_dist.distributed.comm`.
"""

import contextlib
import fcntl
import time
from collections.abc import Callable
from pathlib import Path

import torch

from launcher.doctor.checks.run_directory import ELSEWHERE, trial_folder
from launcher.doctor.context import Context
from launcher.doctor.finding import Finding, Notes
from mms_dist.checkpoint.files import write_synced
from mms_dist.distributed.binding import bind_rank
from mms_dist.distributed.comm import Comm, joined
from mms_dist.distributed.device import computes_on_gpu
from mms_dist.distributed.placement import RankGroup

SKEW_SECONDS = 2.0
NUMBERS = 1 << 20
"""Of a buffer that is summed over all processes, as gradients are: 4 MiB."""
NETWORK = (
    "see that the machines reach each other on all ports, and name the interface between them: GLOO_SOCKET_IFNAME and "
    "NCCL_SOCKET_IFNAME"
)


def try_together(context: Context, *, timeout_seconds: float, on_hang: Callable[[Finding], None]) -> list[Finding]:
    """Form the group that training would form, and use it.

    All processes of the job call it together. What hangs ends the process, after `on_hang` was called with the finding
    on one of them.
    """
    notes = Notes()
    asked = context.config.run.device if context.config is not None else "cpu"
    with notes.on("network"):
        began = time.perf_counter()
        with joined(
            on_gpu=computes_on_gpu(asked),
            timeout_seconds=timeout_seconds,
            on_hang=lambda report: on_hang(Finding("network", "failed", report.split("\n")[0], NETWORK)),
            need_group=True,
        ) as comm:
            _exchange(comm, asked, notes, began)
            if comm.world > 1:
                notes.about("clocks")
                _clocks(comm, notes)
                notes.about("shared disk")
                _shared_disk(context, comm, notes)
    return notes.findings


def _exchange(comm: Comm, asked: str, notes: Notes, began: float) -> None:
    everyone = RankGroup(0, comm.world)
    comm.all_reduce_max([comm.rank], about="a word from every process")
    own = bind_rank(asked, comm)
    told = []
    for device in dict.fromkeys((torch.device("cpu"), own)):
        ones = torch.ones(NUMBERS, device=device)
        comm.reduce(everyone, ones)  # the first makes the connections
        before = time.perf_counter()
        comm.reduce(everyone, ones)
        right = bool((ones == float(comm.world) ** 2).all())  # and waits for a GPU
        seconds = time.perf_counter() - before
        name = "NCCL" if device.type == "cuda" else "gloo"
        if not right:
            notes.fail(f"a sum over all processes by {name} is wrong", "look for a broken network card or GPU")
        told.append(f"{name} sums {ones.nbytes >> 20} MiB in {1000 * seconds:,.1f} ms")
    who = "this process by itself" if comm.world == 1 else f"{comm.world} processes"
    notes.ok(f"{who}: met in {time.perf_counter() - began:.1f} s" + ("" if comm.world == 1 else f"; {', '.join(told)}"))


def _clocks(comm: Comm, notes: Notes) -> None:
    comm.all_reduce_max([0], about="the same moment")
    times = comm.all_gather(time.time())  # all come out of `agree` within milliseconds
    skew = max(times) - min(times)
    if skew > SKEW_SECONDS:
        ahead = times.index(max(times))
        notes.warn(
            f"clocks differ by {skew:,.1f} s; that of rank {ahead} is ahead",
            "synchronise them (chronyd, ntpd): SLURM's credentials, ages and curves depend on them",
        )
    else:
        notes.ok(f"clocks agree within {skew:.2g} s")


def _shared_disk(context: Context, comm: Comm, notes: Notes) -> None:
    """Rank 0 writes and locks a file beside the checkpoints; all others must see both."""
    if context.config is None:
        notes.skip("where the run directory is to be is not known without the configuration")
        return
    directory = Path(context.config.run.directory)
    with contextlib.ExitStack() as stack:
        path = None
        if comm.is_first:
            with contextlib.suppress(OSError):  # which is found, and said, by the check of the run directory
                path = _locked_file(stack, directory)
        path = comm.all_gather(path)[0]
        if path is not None and not comm.is_first:
            _look_from_elsewhere(path, directory, notes)
        comm.all_reduce_max([0], about="the others to have looked")
    if path is None:
        notes.skip(f"{directory} cannot be written")
    elif not notes.of("failed"):
        notes.ok(f"all processes see one {directory}, and respect each other's locks there")


def _locked_file(stack: contextlib.ExitStack, directory: Path) -> Path:
    path = stack.enter_context(trial_folder(directory)) / "locked"
    write_synced(path, str(path).encode())
    file = stack.enter_context(path.open("rb"))
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path


def _look_from_elsewhere(path: Path, directory: Path, notes: Notes) -> None:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        notes.fail(
            f"what another machine writes in {directory} is not seen here: {error.strerror or error}",
            "choose a run.directory on a disk that all machines share",
        )
        return
    notes.fail(
        f"a file in {directory} that another machine has locked (flock) can be locked here as well",
        f"mount it with file locks (Lustre: -o flock), or {ELSEWHERE}",
    )
