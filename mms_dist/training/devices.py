"""What depends on the device: precision, the size of a pass, memory for features, threads."""

from typing import Any, Literal

import torch

from mms_dist.config import Config
from mms_dist.errors import ConfigError


def dtype_of(config: Config, accelerator: Any) -> Literal["float32", "bfloat16", "float64"]:
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


def forward_seconds(asked: float | None, device: torch.device) -> float:
    """Padded audio of a forward pass where the configuration leaves it open."""
    return asked or (160.0 if device.type == "cuda" else 32.0)


def feature_cache_gib(asked: float | None, device: torch.device) -> float:
    """Memory for front-end features where the configuration leaves it open."""
    return asked if asked is not None else (0.0 if device.type == "cuda" else 2.0)


def set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
