"""One GPU: what it is called, whether it works, and an error that names it when it fails."""

import contextlib
import functools
import os
import socket
import sys
import traceback
from collections.abc import Iterator

import torch

from mms_dist.errors import DeviceError

_SIZE = 256
"""Of the matrices that are multiplied as a trial: all that a GPU needs to begin (context, memory, kernels, cuBLAS)."""


@functools.cache
def describe(device: torch.device) -> str:
    """`cuda:3 (NVIDIA H100 80GB HBM3)`, or `cpu`. Kept, as a GPU that has failed cannot be asked any more."""
    if device.type == "cpu":
        return "cpu"
    try:
        return f"{device} ({torch.cuda.get_device_name(device)})"
    except RuntimeError:
        return str(device)


def identity(device: torch.device) -> str:
    """The same for two processes only where both compute on one GPU.

    The name of a MIG instance is its own, where a process was given one; what CUDA says of the instance may be said of
    the whole GPU.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    number = device.index or 0
    if number < len(visible) and visible[number].startswith("MIG-"):
        return visible[number]
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def try_gpu(device: torch.device) -> None:
    """Compute something on a GPU whose result is known; a CPU is taken for working.

    Makes it the calling thread's current device, before anything else is asked of it.

    Raises:
        DeviceError: it cannot, or the result is wrong.
    """
    if device.type == "cpu":
        return
    try:
        torch.cuda.set_device(device)
        ones = torch.ones(_SIZE, _SIZE, device=device)
        right = bool((ones @ ones == _SIZE).all())
    except RuntimeError as error:  # torch.AcceleratorError and torch.OutOfMemoryError are such
        raise _failed(device, "cannot compute", error) from error
    if not right:
        raise _failed(device, "computes wrong results", None)


@contextlib.contextmanager
def naming_the_gpu(device: torch.device, rank: int = 0) -> Iterator[None]:
    """Turn CUDA's own errors in the block into one that says whose they are.

    After such an error nothing more can be computed in this process, and where it shows may be long after what caused
    it. Its traceback is printed all the same: it may be a mistake of ours.

    Raises:
        DeviceError: in the place of CUDA's error.
    """
    try:
        yield
    except torch.AcceleratorError as error:
        with contextlib.suppress(OSError):
            traceback.print_exc(file=sys.stderr)
        raise _failed(device, f"of rank {rank} failed", error) from error


def _failed(device: torch.device, what: str, error: Exception | None) -> DeviceError:
    reason = "" if error is None else f" ({str(error).strip().splitlines()[0]})"
    return DeviceError(
        f"{socket.gethostname()}: {describe(device)} {what}{reason}",
        fix=(
            "look there at what nvidia-smi and dmesg (Xid) say and who else uses it, leave that machine out "
            "(--exclude) or have it reset, and run the same command again (with CUDA_LAUNCH_BLOCKING=1 the traceback "
            "shows what failed)"
        ),
    )
