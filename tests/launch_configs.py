"""The files of configs/accelerate, the command each one gives, and what accelerate would start for a command."""

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "configs" / "accelerate"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
NEEDS_DEEPSPEED = pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
STARTED = [pytest.param(name, marks=NEEDS_DEEPSPEED) if "deepspeed" in name else name for name in NAMES]
"""Of the files, those that accelerate starts something for here."""


def command_of(name: str) -> list[str]:
    """The command in the comment at the top of `configs/accelerate/name.yaml`, as a shell would split it."""
    lines = [line.removeprefix("#") for line in (FOLDER / f"{name}.yaml").read_text().splitlines()]
    first = next(number for number, line in enumerate(lines) if line.startswith("   accelerate launch"))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    return shlex.split(" ".join(line.removesuffix("\\") for line in lines[first : last + 1]))


def changed(command: Sequence[str], **values: str) -> list[str]:
    """The command with the values of some of its options replaced; those it lacks are given to the launcher."""
    words = list(command)
    for name, value in values.items():
        if f"--{name}" in words:
            words[words.index(f"--{name}") + 1] = value
        else:
            words[2:2] = [f"--{name}", value]
    return words


@dataclass
class Start:
    """What `accelerate launch` was about to start."""

    agent: Any = None
    """torchrun's arguments, or None: accelerate starts one process by itself."""
    command: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Of all machines."""
        nodes = str(self.agent.nnodes).split(":")[-1] if self.agent else 1
        return int(nodes) * int(self.agent.nproc_per_node) if self.agent else 1


def start_of(command: Sequence[str]) -> Start:
    """Let accelerate read and prepare `accelerate launch …`, and stop it where it would start something."""
    from accelerate.commands.launch import launch_command, launch_command_parser

    assert list(command[:2]) == ["accelerate", "launch"]
    start = Start()

    def agent(arguments: Any) -> None:
        start.agent, start.environment = arguments, dict(os.environ)

    def alone(words: list[str], env: dict[str, str]) -> mock.Mock:
        start.command, start.environment = words, env
        return mock.Mock(returncode=0)

    with (
        _no_home(),
        contextlib.chdir(ROOT),
        mock.patch("torch.distributed.run.run", agent),
        mock.patch("accelerate.commands.launch.subprocess", mock.Mock(Popen=alone)),
    ):
        launch_command(launch_command_parser().parse_args(list(command[2:])))
    return start


@contextlib.contextmanager
def _no_home() -> Iterator[None]:
    """Without what `accelerate config` has written into this user's home, and without a launcher around the tests."""
    launched = {"WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    kept = {name: value for name, value in os.environ.items() if name not in launched}
    with (
        mock.patch.dict(os.environ, kept, clear=True),
        mock.patch("accelerate.commands.launch.default_config_file", "/nowhere"),
    ):
        yield
