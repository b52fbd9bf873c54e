"""How the processes of one start find each other in a store that earlier starts have left their words in.

A launcher keeps its key-value store over restarts, and what is in it from before must not be taken for new: a
restarted gloo would try to reach peers that are dead. So every start has a name, under which all else is stored. It
cannot be made of the count of restarts: with torchrun's c10d rendezvous the machine on which a process died counts a
restart, and the others, which only follow, do not.

Rank 0 makes the name up. Every other rank says hello with a word that it makes up itself, and rank 0 answers every
hello it finds, those of the dead as well; they are not there to read it. It has done when all ranks have said that they
have joined, and says so: nobody goes on before, into calls that neither say whom they wait for nor can be interrupted.
A start begins when all processes of the one before have ended, so nobody else answers.
"""

import json
import time
from collections.abc import Callable
from typing import Protocol
from uuid import uuid4

from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.patience import Patience
from mms_dist.errors import CommError, ConfigError, ExitCode, MmsDistError, PeerError, StoppedEarly

LONGEST_START_SECONDS = 300.0
"""Launchers start processes together; one may be later than another by the time to import torch from a slow disk."""
_POLL_SECONDS, _POLLS_A_SECOND = 0.05, 1000
"""Every rank asks so often, and all together no oftener."""
_COUNT = "meeting/hellos"


class Store(Protocol):
    """A key-value store that all ranks reach; torch's TCPStore is one."""

    def set(self, key: str, value: str, /) -> None: ...
    def get(self, key: str, /) -> bytes: ...
    def add(self, key: str, amount: int, /) -> int: ...
    def check(self, keys: list[str], /) -> bool: ...


def rendezvous(
    store: Store,
    *,
    rank: int,
    world: int,
    longest_seconds: float = LONGEST_START_SECONDS,
    patience: Patience | None = None,
) -> str:
    """The name of this start, the same on all ranks and on those of no other start; all have come when it returns.

    Raises:
        CommError: not all ranks have come within `longest_seconds`; it says which.
        ConfigError: ranks were started for worlds of different sizes, or two with the same number.
        PeerError: another rank has found that, or was stopped.
        StoppedEarly: a stop was requested here.
    """
    patience = patience or Patience(f"rank {rank} of {world}", "to meet before training")
    rendezvous = _Rendezvous(store, rank, world, time.monotonic() + longest_seconds, patience)
    try:
        return rendezvous.receive() if rank == 0 else rendezvous.join()
    except (ConfigError, StoppedEarly) as error:
        rendezvous.leave(error)
        raise


class _Rendezvous:
    def __init__(self, store: Store, rank: int, world: int, deadline: float, patience: Patience) -> None:
        self._store, self._rank, self._world = store, rank, world
        self._deadline, self._patience = deadline, patience
        self._pause_seconds = max(_POLL_SECONDS, world / _POLLS_A_SECOND)
        self._start: str | None = None

    def receive(self) -> str:
        """Rank 0's part."""
        self._start = start = uuid4().hex
        seen, unanswered = 0, set[int]()
        joined = [_joined(start, rank) for rank in range(1, self._world)]
        while not self._store.check(joined):
            newest = self._store.add(_COUNT, 0)
            unanswered.update(range(seen + 1, newest + 1))
            seen = newest
            for number in sorted(unanswered):
                if self._store.check([_hello(number)]):  # whoever died between counting and saying has not said it
                    word = self._store.get(_hello(number)).decode()
                    self._store.set(_answer(word), f"{start} {self._world}")
                    unanswered.discard(number)
            self._wait(self._missing)
        self._store.set(_complete(start), "")
        return start

    def join(self) -> str:
        """Another rank's part."""
        word = uuid4().hex
        self._store.set(_hello(self._store.add(_COUNT, 1)), word)
        while not self._store.check([_answer(word)]):
            self._wait(lambda: [0])
        start, world = self._store.get(_answer(word)).decode().split(" ")
        self._start = start
        if int(world) != self._world:
            raise ConfigError(
                f"rank {self._rank} was started with WORLD_SIZE {self._world}, and rank 0 with WORLD_SIZE {world}",
                fix="start all machines with the same number of processes",
            )
        if self._store.add(_joined(start, self._rank), 1) > 1:
            raise ConfigError(
                f"two processes were started with RANK {self._rank} of {self._world}",
                fix="give every process a RANK of its own (on every machine another --machine_rank or --node-rank)",
            )
        while not self._store.check([_complete(start)]):
            self._wait(self._missing)
        self._look_for_failures()
        return start

    def leave(self, error: ConfigError | StoppedEarly) -> None:
        """Tell those that have come why this one goes; without a store there is nobody to tell."""
        if self._start is not None:
            why = {"rank": self._rank, "why": str(error), "exit_code": error.exit_code}
            try:
                self._store.set(_failed(self._start), json.dumps(why))
            except RuntimeError:
                return

    def _wait(self, missing: Callable[[], list[int]]) -> None:
        self._look_for_failures()
        if time.monotonic() > self._deadline:
            raise self._nobody_came(missing())
        self._patience.pause(lambda: name_ranks(missing()) if missing() else "rank 0", self._pause_seconds)

    def _look_for_failures(self) -> None:
        if self._start is not None and self._store.check([_failed(self._start)]):
            left = json.loads(self._store.get(_failed(self._start)))
            verb = "was stopped" if left["exit_code"] == ExitCode.PREEMPTED else "could not start"
            raise PeerError(f"rank {left['rank']} {verb}: {left['why']}", left["exit_code"])

    def _missing(self) -> list[int]:
        assert self._start is not None, "a start has a name before ranks join it"
        return [rank for rank in range(1, self._world) if not self._store.check([_joined(self._start, rank)])]

    def _nobody_came(self, missing: list[int]) -> MmsDistError:
        if self._rank == 0 or missing != [0]:
            ranks = ", ".join(map(str, missing))
            return CommError(
                f"rank {self._rank} of {self._world} waited for ranks {ranks}, which did not come",
                fix="look at what they have printed, and whether all machines started their share of the processes",
            )
        return CommError(
            f"rank {self._rank} of {self._world} waited for rank 0, which did not answer",
            fix="look at what that has printed, and whether the first machine was started",
        )


def _hello(number: int) -> str:
    return f"meeting/hello/{number}"


def _answer(word: str) -> str:
    return f"meeting/answer/{word}"


def _joined(start: str, rank: int) -> str:
    return f"meeting/{start}/joined/{rank}"


def _complete(start: str) -> str:
    return f"meeting/{start}/complete"


def _failed(start: str) -> str:
    return f"meeting/{start}/failed"
