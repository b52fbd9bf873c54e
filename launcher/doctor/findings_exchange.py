"""Let the processes of a job find each other and send their findings to rank 0.

They use the rendezvous key-value store and no collective: the store shows which rank is missing, a collective does not.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from launcher.doctor.report import MachineFindings
from mms_dist.distributed.heartbeats import name_ranks
from mms_dist.distributed.launch_environment import LaunchEnvironment
from mms_dist.distributed.process_group import store_at

POLL_SECONDS = 0.05
PATIENCE = 4
"""How many timeouts the other ranks wait for rank 0, since rank 0 itself waits for others more than once."""
_PREFIX = "doctor"
_EXIT, _LEFT = f"{_PREFIX}/exit", f"{_PREFIX}/left"


class FindingsExchange:
    """Exchange findings between the processes of a job before their network has been checked."""

    def __init__(self, timeout_seconds: float, environment: Mapping[str, str] | None = None) -> None:
        """
        Raises:
            CommError: rank 0 cannot be reached.
        """
        self._launch = LaunchEnvironment.of(os.environ if environment is None else environment)
        self._timeout_seconds = timeout_seconds
        self._known: list[int] = []
        self._store: Any = store_at(self._launch, timeout_seconds)

    @property
    def rank(self) -> int:
        return self._launch.rank

    @property
    def world(self) -> int:
        return self._launch.world

    def publish(self, topic: str, findings: MachineFindings) -> None:
        """Publish the findings of this process."""
        self._store.set(f"{_PREFIX}/{topic}/{self.rank}", json.dumps(asdict(findings)))

    def collect(self, topic: str) -> dict[int, MachineFindings]:
        """Return the findings by rank, without the ranks that do not report in time."""
        self._known = self._present(topic)
        return {
            rank: MachineFindings.from_plain(json.loads(self._store.get(f"{_PREFIX}/{topic}/{rank}")))
            for rank in self._known
        }

    def end(self, exit_code: int) -> None:
        """Publish the exit code from rank 0, and keep the store open until the other ranks have read it."""
        self._store.set(_EXIT, str(exit_code))
        self._await(
            [f"{_LEFT}/{rank}" for rank in self._known if rank != self.rank],
            self._timeout_seconds,
            lambda: "the others",
        )

    def await_end(self, *, otherwise: int) -> int:
        """Return the exit code that rank 0 publishes, or `otherwise` if it does not in time."""
        if not self._await([_EXIT], PATIENCE * self._timeout_seconds, lambda: "rank 0"):
            return otherwise
        code = int(self._store.get(_EXIT))
        self._store.set(f"{_LEFT}/{self.rank}", "")
        return code

    def _present(self, topic: str) -> list[int]:
        keys = [f"{_PREFIX}/{topic}/{rank}" for rank in range(self.world)]

        def present() -> list[int]:
            return [rank for rank, key in enumerate(keys) if self._store.check([key])]

        def missing() -> str:
            return name_ranks(set(range(self.world)) - set(present()))

        if self._await(keys, self._timeout_seconds, missing):
            return list(range(self.world))
        return present()

    def _await(self, keys: list[str], seconds: float, describe_waited_for: Callable[[], str]) -> bool:
        deadline, wait = time.monotonic() + seconds, self._launch.wait_for_ranks(lambda: False)
        while keys and not self._store.check(keys):
            if time.monotonic() > deadline:
                return False
            wait.pause(describe_waited_for, POLL_SECONDS)
        return True
