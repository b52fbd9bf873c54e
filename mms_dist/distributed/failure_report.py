"""Why a rank failed, left for the others: by themselves they would see only that it is gone.

So the run's status says what to fix, on whichever rank it happened, and whether a restart can help.
"""

import contextlib
import json

from mms_dist.distributed.watchdog import Store
from mms_dist.errors import CommError, ExitCode, MmsDistError, PeerError, StoppedEarly
from shards.errors import ShardsError

_CLAIM, _WORDS = "failed", "failed/why"


class FailureReport:
    """The first failure of a run's ranks, in the store they share. A rank that is killed leaves none."""

    def __init__(self, store: Store, rank: int) -> None:
        self._store, self._rank = store, rank

    def leave(self, error: Exception | StoppedEarly) -> None:
        """Say why this rank goes, before its connections break; what only follows from another's going says nothing."""
        if isinstance(error, (CommError, PeerError)):
            return
        told = isinstance(error, (MmsDistError, ShardsError, StoppedEarly))
        code = getattr(error, "exit_code", ExitCode.USER_ERROR) if told else ExitCode.FAILED
        with contextlib.suppress(RuntimeError):  # the store may have gone before
            if self._store.add(_CLAIM, 1) == 1:
                why = {"rank": self._rank, "why": str(error) or type(error).__name__, "exit_code": code}
                self._store.set(_WORDS, json.dumps(why))

    def read(self) -> PeerError | None:
        """What another rank has left, if any has."""
        with contextlib.suppress(RuntimeError):
            if self._store.check([_WORDS]):
                left = json.loads(self._store.multi_get([_WORDS])[0])
                return PeerError(f"rank {left['rank']} failed: {left['why']}", left["exit_code"])
        return None
