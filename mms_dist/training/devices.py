"""Which device a process computes on, and with how many threads."""

import torch

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


def compute_as_asked(device: torch.device) -> None:
    """On a GPU, let float32 be float32: torch would run convolutions with the 10-bit mantissa of TF32."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def forward_seconds(asked: float | None, device: torch.device) -> float:
    """Padded audio of a forward pass where the configuration leaves it open."""
    return asked or (160.0 if device.type == "cuda" else 32.0)


def feature_cache_gib(asked: float | None, device: torch.device) -> float:
    """Memory for front-end features where the configuration leaves it open."""
    return asked if asked is not None else (0.0 if device.type == "cuda" else 2.0)


def set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
