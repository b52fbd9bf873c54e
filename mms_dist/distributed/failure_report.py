"""Report why a rank failed to the other ranks, which would otherwise only see that it is gone.

So the run status says what to fix, on whichever rank the failure happened, and whether a restart can help.
"""

import contextlib
import json

from mms_dist.distributed.key_value_store import Store
from mms_dist.errors import CommError, ExitCode, MmsDistError, PeerError, StoppedEarly
from shards.errors import ShardsError

_CLAIM, _REPORT = "failed", "failed/why"


class FailureReport:
    """The first failure among a run's ranks, kept in their shared store. A rank that is killed leaves no report."""

    def __init__(self, store: Store, rank: int) -> None:
        self._store, self._rank = store, rank

    def publish(self, error: Exception | StoppedEarly) -> None:
        """Store why this rank fails, before its connections break; errors caused by another rank are not reported."""
        if isinstance(error, (CommError, PeerError)):
            return
        expected = isinstance(error, (MmsDistError, ShardsError, StoppedEarly))
        code = getattr(error, "exit_code", ExitCode.USER_ERROR) if expected else ExitCode.FAILED
        with contextlib.suppress(RuntimeError):  # the store may already be gone
            if self._store.add(_CLAIM, 1) == 1:
                report = {
                    "rank": self._rank,
                    "found": getattr(error, "found", str(error)) or type(error).__name__,
                    "fix": getattr(error, "fix", None),
                    "exit_code": code,
                }
                self._store.set(_REPORT, json.dumps(report))

    def read(self) -> PeerError | None:
        """The failure that another rank reported, or None."""
        with contextlib.suppress(RuntimeError):
            if self._store.check([_REPORT]):
                report = json.loads(self._store.multi_get([_REPORT])[0])
                return PeerError(f"rank {report['rank']} failed: {report['found']}", report["exit_code"], report["fix"])
        return None
