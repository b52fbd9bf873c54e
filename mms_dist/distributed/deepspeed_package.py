"""Import DeepSpeed, and only if a setting asks for it.

Not every cluster can install it: it needs a compiler and a CUDA toolkit that match the installed torch, and on some
machines it is installed but fails on import. Runs without DeepSpeed must not be affected.
"""

import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

from mms_dist.errors import ConfigError

REQUIREMENT = "deepspeed>=0.19.8,<0.20"
"""As in pyproject.toml."""


def wants_deepspeed(deepspeed: str | None, environment: Mapping[str, str] | None = None) -> bool:
    """Whether `comm.deepspeed` or `accelerate launch --use_deepspeed` asks for DeepSpeed."""
    values = os.environ if environment is None else environment
    return deepspeed is not None or values.get("ACCELERATE_USE_DEEPSPEED", "false").lower() in ("true", "1", "yes")


def import_deepspeed(deepspeed: str | None) -> Any:
    """Import and return the package.

    Args:
        deepspeed: `comm.deepspeed`; None: accelerate was started with `--use_deepspeed`.

    Raises:
        ConfigError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module("deepspeed")
    except Exception as error:  # any error is possible: the import looks for compilers, drivers and toolkits
        missing = isinstance(error, ModuleNotFoundError) and error.name == "deepspeed"
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise deepspeed_unavailable(deepspeed, None if missing else reason) from error


def deepspeed_unavailable(deepspeed: str | None, reason: str | None) -> ConfigError:
    """The error for a user who asked for DeepSpeed where it cannot be used.

    Args:
        deepspeed: `comm.deepspeed`; None: accelerate was started with `--use_deepspeed`.
        reason: why it cannot be imported; None: it is not installed.
    """
    if deepspeed is None:
        request, without = "accelerate launch --use_deepspeed asks for DeepSpeed", "start with --multi_gpu instead"
    else:
        request, without = f"comm.deepspeed is {deepspeed!r}", "leave out comm.deepspeed"
    if reason is None:
        found, fix = "is not installed", f"pip install '{REQUIREMENT}' on every machine"
    else:
        found = f"cannot be imported ({reason})"
        fix = f"make {sys.executable} -c 'import deepspeed' work on every machine"
    fix = f"{fix}, or {without}, so that every process holds the whole base"
    return ConfigError(f"{request}, but the package deepspeed {found}", fix)
