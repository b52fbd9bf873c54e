"""Describe and test one GPU, and name it in the error when it fails."""

import contextlib
import functools
import os
import socket
import sys
import traceback
from collections.abc import Iterator

import torch

from mms_dist.errors import DeviceError
from shards.errors import first_line

_SIZE = 256
"""Size of the matrices in the test, which covers everything a GPU needs to start: context, memory, kernels, cuBLAS."""


@functools.cache
def describe(device: torch.device) -> str:
    """`cuda:3 (NVIDIA H100 80GB HBM3)`, or `cpu`. Cached, because a failed GPU cannot be queried any more."""
    if device.type == "cpu":
        return "cpu"
    try:
        return f"{device} ({torch.cuda.get_device_name(device)})"
    except RuntimeError:
        return str(device)


def identity(device: torch.device) -> str:
    """An ID of the GPU, equal for two processes only if they share it.

    For a MIG instance this is the instance's own name, if the process was given one; CUDA may report the ID of the
    whole GPU instead.
    """
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    number = device.index or 0
    if number < len(visible) and visible[number].startswith("MIG-"):
        return visible[number]
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


def try_gpu(device: torch.device) -> None:
    """Run a computation with a known result on a GPU; a CPU is assumed to work.

    First makes the GPU the calling thread's current device.

    Raises:
        DeviceError: the GPU cannot compute, or the result is wrong.
    """
    if device.type == "cpu":
        return
    try:
        torch.cuda.set_device(device)
        ones = torch.ones(_SIZE, _SIZE, device=device)
        right = bool((ones @ ones == _SIZE).all())
    except RuntimeError as error:  # includes torch.AcceleratorError and torch.OutOfMemoryError
        raise _failed(device, "cannot compute", error) from error
    if not right:
        raise _failed(device, "computes wrong results", None)


@contextlib.contextmanager
def naming_the_gpu(device: torch.device, rank: int = 0) -> Iterator[None]:
    """Turn CUDA errors inside the block into an error that names the GPU and the rank.

    After a CUDA error this process cannot compute any more, and the error may surface long after its cause. Its
    traceback is printed anyway, because it may be a bug of ours.

    Raises:
        DeviceError: instead of CUDA's error.
    """
    try:
        yield
    except torch.AcceleratorError as error:
        with contextlib.suppress(OSError):
            traceback.print_exc(file=sys.stderr)
        raise _failed(device, f"of rank {rank} failed", error) from error


def _failed(device: torch.device, what: str, error: Exception | None) -> DeviceError:
    reason = "" if error is None else f" ({first_line(error)})"
    return DeviceError(
        f"{socket.gethostname()}: {describe(device)} {what}{reason}",
        fix=(
            "check nvidia-smi and dmesg (Xid) on that machine and whether other jobs use the GPU, exclude the machine "
            "(--exclude) or have it reset, and run the same command again (with CUDA_LAUNCH_BLOCKING=1 the traceback "
            "shows what failed)"
        ),
    )
