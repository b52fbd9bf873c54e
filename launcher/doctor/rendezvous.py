"""The processes of a job find each other, and hand what they have found to the first.

They use the key-value store of the rendezvous and no collective: of this, unlike of those, one can say who is missing.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from launcher.doctor.report import Examined
from mms_dist.distributed.comm import store_at
from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.place import Place

POLL_SECONDS = 0.05
PATIENCE = 4
"""Times that the first process may wait for others, and be waited for in turn."""
_PREFIX = "doctor"
_EXIT, _LEFT = f"{_PREFIX}/exit", f"{_PREFIX}/left"


class Meeting:
    """Everything that one process of a job says to the others before they can trust their network."""

    def __init__(self, timeout_seconds: float, environment: Mapping[str, str] | None = None) -> None:
        """
        Raises:
            CommError: the first process cannot be reached.
        """
        self._place = Place.of(os.environ if environment is None else environment)
        self._timeout_seconds = timeout_seconds
        self._known: list[int] = []
        self._store: Any = store_at(self._place, timeout_seconds)

    @property
    def rank(self) -> int:
        return self._place.rank

    @property
    def world(self) -> int:
        return self._place.world

    def tell(self, about: str, examined: Examined) -> None:
        """Say what this process has found."""
        self._store.set(f"{_PREFIX}/{about}/{self.rank}", json.dumps(asdict(examined)))

    def hear(self, about: str) -> dict[int, Examined]:
        """What the others have found, by rank; without those that say nothing in time."""
        self._known = self._present(about)
        return {
            rank: Examined.from_plain(json.loads(self._store.get(f"{_PREFIX}/{about}/{rank}"))) for rank in self._known
        }

    def end(self, exit_code: int) -> None:
        """The first process says with which code all end, and keeps the store for them until they know."""
        self._store.set(_EXIT, str(exit_code))
        self._await(
            [f"{_LEFT}/{rank}" for rank in self._known if rank != self.rank],
            self._timeout_seconds,
            lambda: "the others",
        )

    def await_end(self, *, otherwise: int) -> int:
        """The code with which all end, or `otherwise` if the first process says nothing in time."""
        if not self._await([_EXIT], PATIENCE * self._timeout_seconds, lambda: "rank 0"):
            return otherwise
        code = int(self._store.get(_EXIT))
        self._store.set(f"{_LEFT}/{self.rank}", "")
        return code

    def _present(self, about: str) -> list[int]:
        keys = [f"{_PREFIX}/{about}/{rank}" for rank in range(self.world)]

        def those_here() -> list[int]:
            return [rank for rank, key in enumerate(keys) if self._store.check([key])]

        def missing() -> str:
            return name_ranks(set(range(self.world)) - set(those_here()))

        if self._await(keys, self._timeout_seconds, missing):
            return list(range(self.world))
        return those_here()

    def _await(self, keys: list[str], seconds: float, whom: Callable[[], str]) -> bool:
        deadline, patience = time.monotonic() + seconds, self._place.patience(lambda: False)
        while keys and not self._store.check(keys):
            if time.monotonic() > deadline:
                return False
            patience.pause(whom, POLL_SECONDS)
        return True
