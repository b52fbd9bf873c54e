"""Choose a process's device and its CPU threads, and explain why a requested GPU is not available."""

import os
import shutil
from pathlib import Path

import torch

from mms_dist.errors import ConfigError

FIRST_GPU_PATH = "/dev/nvidia0"
_ON_THE_CPU = "compute on the CPU with --run.device cpu (use auto to take a GPU where there is one)"


def computes_on_cpu(name: str) -> bool:
    """Whether `run.device` selects the CPU on this machine."""
    return name == "cpu" or (name == "auto" and not torch.cuda.is_available())


def computes_on_gpu(name: str) -> bool:
    """Whether `run.device` selects a GPU; `choose_device` raises if a requested GPU does not exist."""
    return name != "cpu" and torch.cuda.is_available()


def use_device(name: str, local_rank: int = 0) -> torch.device:
    """Choose the device, and make a GPU torch's current one before anything else uses CUDA.

    Libraries and kernels use the current device by default, which would be cuda:0 in every process.

    Raises:
        ConfigError: there is no such device.
    """
    device = choose_device(name, local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def set_threads(threads: int | None) -> None:
    """Set the threads of torch's CPU operations; None keeps torch's own choice."""
    if threads is not None:
        torch.set_num_threads(threads)


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Choose the device for `cpu`, `cuda:N`, `cuda` (any GPU), or `auto` (a GPU if there is one, else the CPU).

    Args:
        local_rank: this process's number on its machine. Processes take the machine's GPUs in turn. A process that
            sees one GPU takes that one (`srun --gpus-per-task=1`, or MIG: CUDA shows a process only the first
            instance).

    Raises:
        ConfigError: there is no such device.
    """
    if name == "cpu" or computes_on_cpu(name):
        return torch.device("cpu")
    if name not in ("auto", "cuda") and not _is_numbered(name):
        raise ConfigError(f"run.device: found {name!r}, expected auto, cpu or cuda:N (cuda alone is any GPU)")
    count = torch.cuda.device_count()
    if count == 0:
        found, fix = why_no_gpu()
        raise ConfigError(f"run.device: found {name!r}, but {found}", fix=f"{fix}, or {_ON_THE_CPU}")
    if not _is_numbered(name):
        return torch.device("cuda", local_rank % count)
    number = int(name.removeprefix("cuda:"))
    if number >= count:
        seen = "one GPU, cuda:0" if count == 1 else f"{count} GPUs, cuda:0 to cuda:{count - 1}"
        raise ConfigError(
            f"run.device: found {name!r}, but this process sees {seen}{_visible()}", fix="name one of them, or use auto"
        )
    return torch.device("cuda", number)


def why_no_gpu() -> tuple[str, str]:
    """Why torch finds no GPU (a CPU build, hidden GPUs, a broken driver, or no GPU at all), and the fix."""
    build, evidence, visible = f"torch {torch.__version__}", nvidia_gpu(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not torch.backends.cuda.is_built():
        if evidence is None:
            return f"this machine has no GPU, and {build} is a CPU build", "start the run on a machine with a GPU"
        return f"this machine has {evidence}, and {build} is a CPU build that cannot use it", (
            "install torch's CUDA build (https://pytorch.org/get-started)"
        )
    if visible is not None and not visible.strip().startswith(("GPU-", "MIG-", *"0123456789")):
        return f"CUDA_VISIBLE_DEVICES is {visible!r}, which hides every GPU", (
            "unset it, or request GPUs for the job (--gpus-per-node)"
        )
    if evidence is None:
        return "this machine has no GPU", (
            "start the run on a machine with a GPU, or request GPUs for the job (--gpus-per-node)"
        )
    return f"this machine has {evidence}, and {build} for CUDA {torch.version.cuda} finds no GPU{_visible()}", (
        "check nvidia-smi, then request GPUs for the job (--gpus-per-node), or install a driver for that CUDA version "
        "or a torch build for this driver"
    )


def nvidia_gpu() -> str | None:
    """Evidence that this machine has an NVIDIA GPU, even if torch cannot use it; None if there is none."""
    if Path(FIRST_GPU_PATH).exists():
        return f"an NVIDIA GPU ({FIRST_GPU_PATH})"
    return "nvidia-smi" if shutil.which("nvidia-smi") else None


def _is_numbered(name: str) -> bool:
    kind, _, number = name.partition(":")
    return kind == "cuda" and number.isascii() and number.isdigit()


def _visible() -> str:
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if value is None else f" (CUDA_VISIBLE_DEVICES={value})"
