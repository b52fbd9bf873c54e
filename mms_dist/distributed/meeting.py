"""How the processes of one start find each other in a store that earlier starts have left their words in.

A launcher keeps its key-value store over restarts, and what is in it from before must not be taken for new: a
restarted gloo would try to reach peers that are dead. So every start has a name, under which all else is stored. It
cannot be made of the count of restarts: with torchrun's c10d rendezvous the machine on which a process died counts a
restart, and the others, which only follow, do not.

Rank 0 makes the name up. Every other rank says hello with a word that it makes up itself, and rank 0 answers every
hello it finds, those of the dead as well; they are not there to read it. It has done when all ranks have said that they
have joined. A start begins when all processes of the one before have ended, so nobody else answers.
"""

import time
from typing import Protocol
from uuid import uuid4

from mms_dist.errors import CommError

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


def meet(store: Store, *, rank: int, world: int, longest_seconds: float = LONGEST_START_SECONDS) -> str:
    """The name of this start, the same on all ranks and on those of no other start.

    Raises:
        CommError: not all ranks have come within `longest_seconds`; it says which.
    """
    deadline = time.monotonic() + longest_seconds
    pause = max(_POLL_SECONDS, world / _POLLS_A_SECOND)
    return _receive(store, world, deadline, pause) if rank == 0 else _join(store, rank, world, deadline, pause)


def _receive(store: Store, world: int, deadline: float, pause: float) -> str:
    start = uuid4().hex
    joined = {rank: _joined(start, rank) for rank in range(1, world)}
    seen, unanswered = 0, set[int]()
    while not store.check(list(joined.values())):
        newest = store.add(_COUNT, 0)
        unanswered.update(range(seen + 1, newest + 1))
        seen = newest
        for number in sorted(unanswered):
            if store.check([_hello(number)]):  # whoever died between counting and saying has not said it
                store.set(_answer(store.get(_hello(number)).decode()), start)
                unanswered.discard(number)
        if time.monotonic() > deadline:
            missing = [str(rank) for rank, key in joined.items() if not store.check([key])]
            raise CommError(
                f"rank 0 of {world} waited for ranks {', '.join(missing)}, which did not come; look at what they have "
                "printed, and whether all machines started their share of the processes"
            )
        time.sleep(pause)
    return start


def _join(store: Store, rank: int, world: int, deadline: float, pause: float) -> str:
    word = uuid4().hex
    store.set(_hello(store.add(_COUNT, 1)), word)
    while not store.check([_answer(word)]):
        if time.monotonic() > deadline:
            raise CommError(
                f"rank {rank} of {world} waited for rank 0, which did not answer; look at what that has printed, and "
                "whether the first machine was started"
            )
        time.sleep(pause)
    start = store.get(_answer(word)).decode()
    store.set(_joined(start, rank), "")
    return start


def _hello(number: int) -> str:
    return f"meeting/hello/{number}"


def _answer(word: str) -> str:
    return f"meeting/answer/{word}"


def _joined(start: str, rank: int) -> str:
    return f"meeting/{start}/joined/{rank}"
