"""Ranks that are forked in milliseconds: each has the environment that a launcher gives, and a log of its own.

    train_ranks(config, 4)                 train, as `mms-dist train` does
    train_rounds(config, 4, rounds=3)      the same, stopped as on a signal
    run_ranks(2, "tests.x:body", {…})      any function, with a dictionary that goes in and comes out

No process that was started here outlives the call or the `with` block. `tests.distributed.launch` has the real thing.
"""

import contextlib
import pickle
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mms_dist.config import Config
from tests.distributed.worker import Notes, run_rank
from tests.forks import FORKS

PREEMPTED = 75


@dataclass(frozen=True)
class Ended:
    """How the ranks ended, by rank: exit codes (negative: the signal), all they printed, their notes."""

    codes: list[int]
    logs: list[str]
    notes: list[Notes]
    seconds: float

    def told(self) -> str:
        return "\n".join(
            f"--- rank {rank}: exit code {code}\n{log}"
            for rank, (code, log) in enumerate(zip(self.codes, self.logs, strict=True))
        )


class Ranks:
    """Ranks at work; the end of the `with` block is the end of them."""

    def __init__(
        self, world: int, target: str, notes: Notes | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """
        Args:
            target: `module:function` that every rank calls with its own copy of `notes`.
            environment: added to what a launcher sets.
        """
        self._folder = tempfile.TemporaryDirectory()
        self._began = time.monotonic()
        port = str(free_port())
        self._processes: list[BaseProcess] = [
            FORKS.Process(
                target=run_rank,
                args=(
                    target,
                    dict(notes or {}),
                    _environment(rank, world, port) | dict(environment or {}),
                    self._log(rank),
                    self._kept(rank),
                ),
            )
            for rank in range(world)
        ]

    @property
    def pids(self) -> list[int]:
        return [process.pid or 0 for process in self._processes]

    def log(self, rank: int) -> str:
        """What a rank has printed so far."""
        path = self._log(rank)
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, timeout_seconds: float = 120.0) -> Ended:
        """Until all have ended.

        Raises:
            AssertionError: one has not; with the logs of all.
        """
        deadline = time.monotonic() + timeout_seconds
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
        late = [rank for rank, process in enumerate(self._processes) if process.exitcode is None]
        seconds = time.monotonic() - self._began
        if late:
            self.kill()
        ended = Ended(
            [process.exitcode or 0 for process in self._processes],
            [self.log(rank) for rank in range(len(self._processes))],
            [self._notes(rank) for rank in range(len(self._processes))],
            seconds,
        )
        assert not late, f"ranks {late} had not ended after {timeout_seconds:g} s\n{ended.told()}"
        return ended

    def kill(self) -> None:
        for process in self._processes:
            if process.exitcode is None:
                process.kill()
                process.join()

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._folder.cleanup()

    def _log(self, rank: int) -> Path:
        return Path(self._folder.name) / f"rank{rank}.log"

    def _kept(self, rank: int) -> Path:
        return Path(self._folder.name) / f"rank{rank}.notes"

    def _notes(self, rank: int) -> Notes:
        path = self._kept(rank)
        return pickle.loads(path.read_bytes()) if path.exists() else {}


def run_ranks(
    world: int,
    target: str,
    notes: Notes | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    expect: int | None = 0,
    timeout_seconds: float = 120.0,
) -> Ended:
    """Run `target` (`module:function`, called with a dictionary) on so many ranks, and wait for them.

    `expect` is the exit code that every rank must have; None: any.
    """
    with Ranks(world, target, notes, environment) as ranks:
        ended = ranks.wait(timeout_seconds)
    assert expect is None or set(ended.codes) == {expect}, f"expected {expect} of every rank\n{ended.told()}"
    return ended


def train_ranks(
    config: Config,
    world: int,
    *,
    watch: str | None = None,
    notes: Notes | None = None,
    environment: Mapping[str, str] | None = None,
    expect: int | None = 0,
    timeout_seconds: float = 120.0,
) -> Ended:
    """Train on so many ranks, as `mms-dist train` does.

    `watch` (`module:function`) is called on every rank with its `RunComponents` and its notes before every round; what
    it puts into the notes is in `Ended.notes`.
    """
    with written(config) as path:
        given = dict(notes or {}) | {"config": str(path), "watch": watch}
        return run_ranks(
            world,
            "tests.distributed.worker:train",
            given,
            environment=environment,
            expect=expect,
            timeout_seconds=timeout_seconds,
        )


def train_rounds(config: Config, world: int, rounds: int, *, rank: int | None = None) -> Ended:
    """Train for so many rounds and stop as on a signal, at one rank or at all: every rank ends with 75."""
    notes = {"rounds": rounds, "rank": rank}
    return train_ranks(config, world, watch="tests.distributed.worker:stop_after", notes=notes, expect=PREEMPTED)


@contextlib.contextmanager
def written(config: Config) -> Iterator[Path]:
    """The configuration in a file, as a command line wants it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(config.to_yaml(), encoding="utf-8")
        yield path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(rank: int, world: int, port: str) -> dict[str, str]:
    """What `torchrun` tells a worker, as far as anyone asks."""
    values: dict[str, Any] = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": world,
        "LOCAL_WORLD_SIZE": world,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
    }
    return {name: str(value) for name, value in values.items()}
