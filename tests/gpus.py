"""Machines with GPUs that are not there: what torch says of them to each of the processes of a job."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mms_dist.distributed import binding
from mms_dist.distributed.comm import Comm
from mms_dist.distributed.gpu import describe
from mms_dist.distributed.watchdog import NoWatchdog

LAUNCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "LOCAL_SIZE", "CUDA_VISIBLE_DEVICES")

MOST_SHARED = 20
"""Times that ranks tell each other something while they bind."""


@dataclass(frozen=True)
class Process:
    """One process of a job: its machine, the GPUs that its container or control group lets it see, its variables."""

    machine: str = "node0"
    gpus: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def visible(self) -> list[str]:
        """As CUDA reads CUDA_VISIBLE_DEVICES: of several MIG instances a process sees the first."""
        value = self.variables.get("CUDA_VISIBLE_DEVICES")
        if value is None:
            return list(self.gpus)
        names = value.split(",")
        if value.startswith("MIG-"):
            return names[:1]
        if value.startswith("GPU-"):
            return [gpu for name in names for gpu in self.gpus if gpu == name]
        return [self.gpus[int(name)] for name in names if name.isdigit() and int(name) < len(self.gpus)]


class Cuda:
    """`torch.cuda` as one process sees it, and what is done with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.process = Process()
        self.current: torch.device | None = None
        self.tried: list[torch.device] = []
        replies: dict[str, Callable[..., Any]] = {
            "is_available": lambda: bool(self.process.visible),
            "device_count": lambda: len(self.process.visible),
            "get_device_name": lambda device: "Test GPU",
            "get_device_properties": self._properties,
            "set_device": lambda device: setattr(self, "current", torch.device(device)),
        }
        for name in LAUNCH_VARIABLES:
            monkeypatch.setenv(name, "")  # so that it is put back at the end, whoever sets it meanwhile
        for name, reply in replies.items():
            monkeypatch.setattr(torch.cuda, name, reply)
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
        monkeypatch.setattr(binding, "try_gpu", self.tried.append)
        monkeypatch.setattr(binding, "this_machine", lambda: self.process.machine)
        self._monkeypatch = monkeypatch

    def be(self, process: Process) -> None:
        """Be this process from here on."""
        self.process, self.current = process, None
        describe.cache_clear()
        for name in LAUNCH_VARIABLES:
            self._monkeypatch.delenv(name, raising=False)
        for name, value in process.variables.items():
            self._monkeypatch.setitem(os.environ, name, value)

    def _properties(self, device: torch.device) -> SimpleNamespace:
        name = self.process.visible[device.index or 0]
        parent = name.removeprefix("MIG-").split("/")[0]  # CUDA may name the whole GPU
        return SimpleNamespace(uuid=parent.removeprefix("GPU-"))


class _Pending(Exception):
    """Other ranks have to come as far first."""


@dataclass
class Replayed:
    """A `Comm` of one of several ranks in this process, which are called again until all have said all they say."""

    rank: int
    world: int
    said: dict[tuple[int, int], Any]
    watchdog: NoWatchdog = field(default_factory=NoWatchdog)
    step: int = 0

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def all_gather(self, item: Any) -> list[Any]:
        self.step += 1
        self.said[self.step, self.rank] = item
        if any((self.step, rank) not in self.said for rank in range(self.world)):
            raise _Pending
        return [self.said[self.step, rank] for rank in range(self.world)]

    def run_on_all_ranks(self, work: Callable[[], Any]) -> Any:
        return Comm.run_on_all_ranks(self, work)  # type: ignore[arg-type]

    def all_reduce_max(self, values: Sequence[int], *, about: str = "") -> list[int]:
        return list(values)

    def check_stop(self) -> None:
        return


def on_all_ranks(world: int, body: Callable[[Any], Any]) -> list[Any]:
    """What `body` gives for the `Comm` of each rank, or the error that it raises."""
    said: dict[tuple[int, int], Any] = {}
    for _ in range(MOST_SHARED):
        outcomes: list[Any] = []
        for rank in range(world):
            try:
                outcomes.append(body(Replayed(rank, world, said)))
            except Exception as error:
                outcomes.append(error)
        if not any(isinstance(outcome, _Pending) for outcome in outcomes):
            return outcomes
    raise AssertionError(f"some ranks wait for ever: {outcomes}")
