"""Try the GPUs of this machine, one by one and all together, with a time limit: a broken GPU may never respond."""

import torch

from launcher.doctor.finding import Notes
from mms_dist.distributed.binding import GPU_TEST_SECONDS, silent_gpu
from mms_dist.distributed.connection_test import FIXES, LONGEST_SECONDS, one_line
from mms_dist.distributed.gpu import try_gpu
from mms_dist.distributed.startup_waits import in_thread
from mms_dist.errors import DeviceError


def try_all(count: int, notes: Notes) -> None:
    """Compute on each GPU, and sum over all of them with NCCL from this one process; note what fails."""
    works = [_works(torch.device("cuda", number), notes) for number in range(count)]
    if count > 1 and all(works):
        _sum(count, notes)


def _works(device: torch.device, notes: Notes) -> bool:
    try:
        in_thread(lambda: try_gpu(device), longest_seconds=GPU_TEST_SECONDS, check=_nothing)
    except TimeoutError:
        notes.error(silent_gpu(device))
    except DeviceError as error:
        notes.error(error)
    else:
        return True
    return False


def _sum(count: int, notes: Notes) -> None:
    try:
        found = in_thread(lambda: sums_of_ones(count), longest_seconds=LONGEST_SECONDS, check=_nothing)
        wrong = None if found == [count] * count else f"the sum of {count} ones is {found}"
    except TimeoutError:
        wrong = f"no result within {LONGEST_SECONDS:.0f} s"
    except RuntimeError as error:
        wrong = one_line(error)
    if wrong is not None:
        notes.fail(f"NCCL cannot sum over the {count} GPUs of this machine ({wrong})", FIXES["cuda"])


def sums_of_ones(count: int) -> list[float]:
    """Sum a 1 from every GPU with NCCL, and return the sum on each GPU."""
    ones = [torch.ones(1, device=torch.device("cuda", number)) for number in range(count)]
    torch.cuda.nccl.all_reduce(ones)
    return [float(one) for one in ones]


def _nothing() -> None:
    """Do nothing: a signal ends the wait by itself."""
