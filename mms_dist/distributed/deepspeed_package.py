"""The package DeepSpeed, which is imported where a setting asks for it and nowhere else.

Not every cluster can have it: it needs a compiler and a CUDA toolkit that fit the installed torch, and on some machines
it is installed and fails while it is imported. All that trains without it must not notice.
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
    """Whether DeepSpeed was asked for, by `comm.deepspeed` or by `accelerate launch --use_deepspeed`."""
    values = os.environ if environment is None else environment
    return deepspeed is not None or values.get("ACCELERATE_USE_DEEPSPEED", "false").lower() in ("true", "1", "yes")


def import_deepspeed(deepspeed: str | None) -> Any:
    """The package.

    Args:
        deepspeed: `comm.deepspeed`; None: accelerate was started with `--use_deepspeed`.

    Raises:
        ConfigError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module("deepspeed")
    except Exception as error:  # whatever it may be: compilers, drivers and toolkits are looked for in the import
        missing = isinstance(error, ModuleNotFoundError) and error.name == "deepspeed"
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise not_to_be_had(deepspeed, None if missing else reason) from error


def not_to_be_had(deepspeed: str | None, reason: str | None) -> ConfigError:
    """What to tell a user who asked for DeepSpeed and cannot have it.

    Args:
        deepspeed: `comm.deepspeed`; None: accelerate was started with `--use_deepspeed`.
        reason: why it cannot be imported; None: it is not installed.
    """
    if deepspeed is None:
        asked, without = "accelerate launch --use_deepspeed asks for DeepSpeed", "start with --multi_gpu instead"
    else:
        asked, without = f"comm.deepspeed is {deepspeed!r}", "leave out comm.deepspeed"
    if reason is None:
        found, fix = "is not installed", f"pip install '{REQUIREMENT}' on every machine"
    else:
        found = f"cannot be imported ({reason})"
        fix = f"make {sys.executable} -c 'import deepspeed' work on every machine"
    fix = f"{fix}, or {without}: every process then holds the whole base"
    return ConfigError(f"{asked}, but the package deepspeed {found}", fix)
