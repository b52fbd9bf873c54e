"""Which device a process computes on, and with how many threads."""

import os
from typing import Any

import torch

from mms_dist.config import Config
from mms_dist.errors import ConfigError


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU, else the CPU.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"run.device: found {name!r}, expected auto, cpu or cuda:N") from error
    count = torch.cuda.device_count()
    if device.type not in ("cpu", "cuda") or (device.type == "cuda" and (device.index or 0) >= count):
        raise ConfigError(
            f"run.device: found {name!r}, but this machine has the CPU and {count} CUDA devices; use auto"
        )
    return device


def computes_on_cpu(name: str) -> bool:
    """Whether `run.device` comes to the CPU on this machine."""
    return name == "cpu" or (name == "auto" and not torch.cuda.is_available())


def device_of_rank(name: str, accelerator: Any, world: int) -> torch.device:
    """Where this rank computes: on a machine with several ranks each has a GPU of its own.

    Raises:
        ConfigError: there is no such device, one is named for several ranks, or there are too few.
    """
    if name in ("auto", "cpu"):
        device = torch.device(accelerator.device)
        gpus, here = torch.cuda.device_count(), _ranks_of_this_machine()
        if device.type == "cuda" and here > gpus:  # Accelerate would give two ranks the same one, which NCCL refuses
            raise ConfigError(
                f"the launcher started {here} processes on a machine with {gpus} GPUs, and each needs one of its own; "
                f"start {gpus} (--num_processes), or compute on the CPU with --run.device cpu"
            )
        return device
    if world > 1:
        raise ConfigError(
            f"run.device: found {name!r} for {world} processes; set cpu, or auto, with which each has a GPU of its own"
        )
    return choose_device(name)


def _ranks_of_this_machine() -> int:
    """As torchrun and accelerate say it, or as deepspeed does."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("LOCAL_SIZE") or 1)


def asked_dtype(config: Config, accelerator: Any) -> Any:
    """Precision of the base: `model.dtype`, or bfloat16 if the launcher was given `--mixed_precision bf16`.

    Raises:
        ConfigError: the two contradict each other.
    """
    asked = config.model.dtype
    if accelerator.mixed_precision != "bf16":
        return asked
    if asked == "float64":
        raise ConfigError("model.dtype is float64 and Accelerate's mixed_precision bf16; pass --mixed_precision no")
    return "bfloat16"


def compute_as_asked(device: torch.device) -> None:
    """On a GPU, let float32 be float32: torch would run convolutions with the 10-bit mantissa of TF32."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
