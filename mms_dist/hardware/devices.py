"""Settings that depend on the launcher and the CPU: precision and threads."""

from typing import Any

import torch

from mms_dist.config import Config
from mms_dist.errors import ConfigError


def asked_dtype(config: Config, accelerator: Any) -> Any:
    """Return the precision of the base: `model.dtype`, or bfloat16 with the launcher's `--mixed_precision bf16`.

    Raises:
        ConfigError: the two contradict each other.
    """
    configured = config.model.dtype
    if accelerator.mixed_precision != "bf16":
        return configured
    if configured == "float64":
        raise ConfigError(
            "model.dtype is float64, but Accelerate's mixed_precision is bf16", fix="pass --mixed_precision no"
        )
    return "bfloat16"


def set_threads(threads: int | None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
