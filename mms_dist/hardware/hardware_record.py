"""`RUN/hardware.json`: the settings a run chose by the hardware it started on, so that a restart uses the same ones.

`RUN/config.yaml` holds the configured settings; this file holds the choices made where the configuration leaves a
setting open. It applies as long as there are checkpoints. If it is removed, the next start chooses again.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mms_dist.errors import ConfigError
from mms_dist.files import UnreadableFileError, read_file, read_text, replace_text
from mms_dist.run_directory.paths import RunPaths

_SETTING_SINCE_THEN = "attention"
"""Key of `model` in every config.yaml since this file was introduced. A run without it is older."""
_EARLIER_SECONDS = {"cuda": 160.0, "cpu": 32.0}
_EARLIER_COST_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class KeptSettings:
    """All settings that affect the bits of a run and may have been chosen by its hardware.

    `threads` is per rank, for `processes` ranks; None if it is not known.
    """

    dtype: str
    attention: str
    compile: bool
    forward_seconds: float
    evaluation_seconds: float
    forward_cost_seconds: float
    threads: int | None
    processes: int
    hardware: str
    """Human-readable description of the hardware the settings were chosen for."""


_NUMBERS = ("forward_seconds", "evaluation_seconds", "forward_cost_seconds", "processes")
_CHOICES = {"dtype": ("float32", "bfloat16", "float64"), "attention": ("padded", "packed"), "compile": (True, False)}


def read_kept_settings(directory: Path, *, on_gpu: bool) -> KeptSettings | None:
    """Read the settings that a run continues with; None if nothing has been trained in the directory.

    Args:
        on_gpu: decides the settings of a run that is older than this file; they depended only on the device.

    Raises:
        ConfigError: the file exists but is invalid.
    """
    if not any(directory.glob("adapters/*/step-*")):
        return None
    path = RunPaths(directory).hardware
    try:
        content = json.loads(read_file(path))
    except FileNotFoundError:
        return _from_earlier_version(directory, on_gpu)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    try:
        return _checked(KeptSettings(**content))
    except (TypeError, ValueError) as error:
        raise _unreadable(path, str(error)) from error


def write_kept_settings(directory: Path, kept: KeptSettings) -> None:
    """Write the chosen settings.

    Raises:
        TrainingError: it cannot be written.
    """
    replace_text(RunPaths(directory).hardware, json.dumps(asdict(kept), indent=2, ensure_ascii=False) + "\n")


def _checked(kept: KeptSettings) -> KeptSettings:
    for name, choices in _CHOICES.items():
        if not any(getattr(kept, name) is choice or getattr(kept, name) == choice for choice in choices):
            raise ValueError(f"{name} is {getattr(kept, name)!r}")
    numbers = {name: getattr(kept, name) for name in _NUMBERS}
    if kept.threads is not None:
        numbers["threads"] = kept.threads
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
            raise ValueError(f"{name} is {value!r}")
    return kept


def _from_earlier_version(directory: Path, on_gpu: bool) -> KeptSettings | None:
    """Return the defaults of the version before this file, with the precision from its config.yaml."""
    settings: Any
    try:
        settings = yaml.safe_load(read_text(RunPaths(directory).config))
        model = settings["model"]
        if _SETTING_SINCE_THEN in model:
            return None
        rounds, evaluation = settings.get("rounds") or {}, settings.get("evaluation") or {}
        seconds = _EARLIER_SECONDS["cuda" if on_gpu else "cpu"]
        return _checked(
            KeptSettings(
                dtype=model.get("dtype", "float32"),
                attention="padded",
                compile=False,
                forward_seconds=float(rounds.get("forward_seconds") or seconds),
                evaluation_seconds=float(evaluation.get("forward_seconds") or seconds),
                forward_cost_seconds=_EARLIER_COST_SECONDS,
                threads=None,
                processes=1,
                hardware="hardware that was not noted",
            )
        )
    except (UnreadableFileError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError, RecursionError):
        return None


def _unreadable(path: Path, why: str) -> ConfigError:
    names = ", ".join(field.name for field in fields(KeptSettings))
    return ConfigError(
        f"{path} is not a valid record of hardware settings ({why})",
        fix=(
            f"expected a JSON object with {names}. Remove it to choose the settings again: the run continues from its "
            "checkpoints, but results may differ in the last bits"
        ),
    )
