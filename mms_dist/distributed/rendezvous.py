"""Let the processes of one start find each other in a store that still holds entries from earlier starts.

A launcher keeps its key-value store across restarts. Old entries must not be mistaken for new ones: a restarted gloo
would try to reach dead peers. So every start has an ID, and all its entries are stored under that ID. The ID cannot be
the restart count: with torchrun's c10d rendezvous, the machine whose process died counts a restart, but the others do
not.

Rank 0 generates the start ID. Every other rank writes a hello with its own random token, and rank 0 answers every hello
it finds, including those of dead processes, which no longer read the answer. When all ranks have joined, rank 0 marks
the rendezvous as complete. No rank continues before that, because the calls that follow cannot be interrupted and do
not say which rank they wait for. A start begins only after all processes of the previous one have ended, so no other
process answers.
"""

import json
import time
from collections.abc import Callable
from uuid import uuid4

from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.key_value_store import Store
from mms_dist.distributed.startup_waits import StartupWait
from mms_dist.errors import CommError, ConfigError, ExitCode, MmsDistError, PeerError, StoppedEarly

LONGEST_START_SECONDS = 300.0
"""Launchers start all processes together; some are late by the time it takes to import torch from a slow disk."""
_POLL_SECONDS, _POLLS_A_SECOND = 0.05, 1000
"""The poll interval of one rank, and the most polls per second of all ranks together."""
_COUNT = "meeting/hellos"


def rendezvous(
    store: Store,
    *,
    rank: int,
    world: int,
    longest_seconds: float = LONGEST_START_SECONDS,
    wait: StartupWait | None = None,
) -> str:
    """Wait for all ranks, and return the ID of this start: the same on all its ranks, and unique to it.

    Raises:
        CommError: not all ranks arrived within `longest_seconds`; names the missing ones.
        ConfigError: ranks were started with different world sizes, or two with the same rank.
        PeerError: another rank found such an error, or was stopped.
        StoppedEarly: a stop was requested on this rank.
    """
    wait = wait or StartupWait(f"rank {rank} of {world}", "at the rendezvous before training")
    rendezvous = _Rendezvous(store, rank, world, time.monotonic() + longest_seconds, wait)
    try:
        return rendezvous.receive() if rank == 0 else rendezvous.join()
    except (ConfigError, StoppedEarly) as error:
        rendezvous.publish_failure(error)
        raise


class _Rendezvous:
    def __init__(self, store: Store, rank: int, world: int, deadline: float, wait: StartupWait) -> None:
        self._store, self._rank, self._world = store, rank, world
        self._deadline, self._startup_wait = deadline, wait
        self._pause_seconds = max(_POLL_SECONDS, world / _POLLS_A_SECOND)
        self._start: str | None = None

    def receive(self) -> str:
        """Run rank 0's part."""
        self._start = start = uuid4().hex
        seen, unanswered = 0, set[int]()
        joined = [_joined(start, rank) for rank in range(1, self._world)]
        while not self._store.check(joined):
            newest = self._store.add(_COUNT, 0)
            unanswered.update(range(seen + 1, newest + 1))
            seen = newest
            for number in sorted(unanswered):
                if self._store.check([_hello(number)]):  # missing if its process died right after it was counted
                    token = self._store.get(_hello(number)).decode()
                    self._store.set(_answer(token), f"{start} {self._world}")
                    unanswered.discard(number)
            self._wait(self._missing)
        self._store.set(_complete(start), "")
        return start

    def join(self) -> str:
        """Run the part of every rank but 0."""
        token = uuid4().hex
        self._store.set(_hello(self._store.add(_COUNT, 1)), token)
        while not self._store.check([_answer(token)]):
            self._wait(lambda: [0])
        start, world = self._store.get(_answer(token)).decode().split(" ")
        self._start = start
        if int(world) != self._world:
            raise ConfigError(
                f"rank {self._rank} was started with WORLD_SIZE {self._world}, but rank 0 with WORLD_SIZE {world}",
                fix="start all machines with the same number of processes",
            )
        if self._store.add(_joined(start, self._rank), 1) > 1:
            raise ConfigError(
                f"two processes were started with RANK {self._rank} of {self._world}",
                fix="give every process its own RANK (on each machine a different --machine_rank or --node-rank)",
            )
        while not self._store.check([_complete(start)]):
            self._wait(self._missing)
        self._look_for_failures()
        return start

    def publish_failure(self, error: ConfigError | StoppedEarly) -> None:
        """Tell the ranks that have joined why this one leaves, unless the store is gone."""
        if self._start is not None:
            report = {
                "rank": self._rank,
                "found": getattr(error, "found", str(error)),
                "fix": getattr(error, "fix", None),
                "exit_code": error.exit_code,
            }
            try:
                self._store.set(_failed(self._start), json.dumps(report))
            except RuntimeError:
                return

    def _wait(self, missing: Callable[[], list[int]]) -> None:
        self._look_for_failures()
        if time.monotonic() > self._deadline:
            raise self._timed_out(missing())
        self._startup_wait.pause(lambda: name_ranks(missing()) if missing() else "rank 0", self._pause_seconds)

    def _look_for_failures(self) -> None:
        if self._start is not None and self._store.check([_failed(self._start)]):
            report = json.loads(self._store.get(_failed(self._start)))
            verb = "was stopped" if report["exit_code"] == ExitCode.PREEMPTED else "could not start"
            raise PeerError(f"rank {report['rank']} {verb}: {report['found']}", report["exit_code"], report["fix"])

    def _missing(self) -> list[int]:
        assert self._start is not None, "a start has an ID before ranks join it"
        return [rank for rank in range(1, self._world) if not self._store.check([_joined(self._start, rank)])]

    def _timed_out(self, missing: list[int]) -> MmsDistError:
        if self._rank == 0 or missing != [0]:
            ranks = ", ".join(map(str, missing))
            return CommError(
                f"rank {self._rank} of {self._world} waited for ranks {ranks}, which did not arrive",
                fix="check what they have printed, and whether every machine started its processes",
            )
        return CommError(
            f"rank {self._rank} of {self._world} waited for rank 0, which did not answer",
            fix="check what rank 0 has printed, and whether the first machine was started",
        )


def _hello(number: int) -> str:
    return f"meeting/hello/{number}"


def _answer(token: str) -> str:
    return f"meeting/answer/{token}"


def _joined(start: str, rank: int) -> str:
    return f"meeting/{start}/joined/{rank}"


def _complete(start: str) -> str:
    return f"meeting/{start}/complete"


def _failed(start: str) -> str:
    return f"meeting/{start}/failed"
