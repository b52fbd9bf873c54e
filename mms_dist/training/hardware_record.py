"""`RUN/hardware.json`: what a run chose from the hardware that it began on, so that a restart chooses the same.

`RUN/config.yaml` says what was asked for, this file what came of it where the configuration left it open. It counts as
long as there are checkpoints; removing it makes the next start choose anew.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from mms_dist.errors import ConfigError
from mms_dist.files import read_file, read_text, replace_text

HARDWARE_NAME = "hardware.json"
_SETTING_SINCE_THEN = "attention"
"""Of `model`: written in every config.yaml since there is this file. A run without it is from before."""
_EARLIER_SECONDS = {"cuda": 160.0, "cpu": 32.0}
_EARLIER_COST_SECONDS = 1.0


@dataclass(frozen=True)
class Kept:
    """Everything that decides the bits of a run and may have been chosen from its hardware.

    `threads` are those of each of `processes` ranks; None where they are not known.
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
    """What it was chosen on, for people."""


_NUMBERS = ("forward_seconds", "evaluation_seconds", "forward_cost_seconds", "processes")
_CHOICES = {"dtype": ("float32", "bfloat16", "float64"), "attention": ("padded", "packed"), "compile": (True, False)}


def read_kept(directory: Path, *, on_gpu: bool) -> Kept | None:
    """What the run of a directory goes on with; None if nothing has been trained there.

    Args:
        on_gpu: what a run from before this file goes on with depended on the device alone.

    Raises:
        ConfigError: the file is there and cannot be understood.
    """
    if not any(directory.glob("adapters/*/step-*")):
        return None
    path = directory / HARDWARE_NAME
    try:
        content = json.loads(read_file(path))
    except FileNotFoundError:
        return _of_an_earlier_version(directory, on_gpu)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    try:
        return _checked(Kept(**content))
    except (TypeError, ValueError) as error:
        raise _unreadable(path, str(error)) from error


def write_kept(directory: Path, kept: Kept) -> None:
    """Write down what was chosen.

    Raises:
        TrainingError: it cannot be written.
    """
    replace_text(directory / HARDWARE_NAME, json.dumps(asdict(kept), indent=2, ensure_ascii=False) + "\n")


def _checked(kept: Kept) -> Kept:
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


def _of_an_earlier_version(directory: Path, on_gpu: bool) -> Kept | None:
    """What such a version took for its defaults, and its precision, which its config.yaml tells."""
    settings: Any
    try:
        settings = yaml.safe_load(read_text(directory / "config.yaml"))
        model = settings["model"]
        if _SETTING_SINCE_THEN in model:
            return None
        rounds, evaluation = settings.get("rounds") or {}, settings.get("evaluation") or {}
        seconds = _EARLIER_SECONDS["cuda" if on_gpu else "cpu"]
        return _checked(
            Kept(
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
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError, RecursionError):
        return None


def _unreadable(path: Path, why: str) -> ConfigError:
    names = ", ".join(field.name for field in fields(Kept))
    return ConfigError(
        f"{path} is not what a run chose from its hardware ({why})",
        fix=(
            f"expected a JSON object with {names}. Remove it to choose anew: the run goes on from its checkpoints, and "
            "may differ in the last bits"
        ),
    )
