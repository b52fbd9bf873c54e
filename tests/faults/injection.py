"""Faults by rank, round and phase, put into a run by an observer of it.

A run takes them from its environment (`environment`), so they reach the workers of a real launcher.
"""

import errno
import functools
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mms_dist.hardware import base_loading
from mms_dist.monitor.reports import RoundReport
from mms_dist.training.active_language import ActiveLanguage
from mms_dist.training.observer import Observer
from mms_dist.training.observers import OBSERVERS

Phase = Literal["start", "data", "forward", "reduce", "evaluation", "saving", "edge"]
PHASES: tuple[Phase, ...] = ("start", "data", "forward", "reduce", "evaluation", "saving", "edge")
Kind = Literal["kill", "term", "usr1", "stop", "term_launcher", "nan", "disk_full", "disk_slow", "raise"]

_FAULTS, _RECORD = "MMS_DIST_TEST_FAULTS", "MMS_DIST_TEST_RECORD"
_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "usr1": signal.SIGUSR1, "stop": signal.SIGSTOP}
_PASSING_ON_SECONDS = 1.0
"""In which a launcher passes a signal on to its workers; a whole run of toy rounds would fit in."""


@dataclass(frozen=True)
class Fault:
    """Something that happens once on one rank, when it first comes to the phase in this round or a later one.

    The start is round 0, and the edge after a round belongs to it. A slow disk stays slow.
    """

    rank: int
    phase: Phase
    kind: Kind
    round: int = 0
    attempt: int | None = 0
    """Of the launcher's restarts; None: every one."""
    language: str | None = None
    """Whose gradient is no longer a number."""
    seconds: float = 0.0
    """That each checkpoint takes on a slow disk."""


def environment(faults: Sequence[Fault], record: Path) -> dict[str, str]:
    """What the workers of a run need to know; what happened to them is put into the folder `record`."""
    record.mkdir(parents=True, exist_ok=True)
    return {_FAULTS: json.dumps([asdict(fault) for fault in faults]), _RECORD: str(record)}


@dataclass(frozen=True)
class Note:
    """Something that happened to a worker: `exit` with its `code`, or a fault of that kind.

    `time_seconds` is that of `time.monotonic`, which is the same for all processes of a machine.
    """

    what: str
    rank: int
    attempt: int
    round: int
    time_seconds: float
    code: int | None = None


def read_record(record: Path) -> list[Note]:
    """What happened, in the order of time."""
    notes = [Note(**json.loads(line)) for path in record.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted(notes, key=lambda note: note.time_seconds)


class Injector(Observer):
    """Puts the faults of this rank and attempt into the run that follows."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.rank = int(environment["RANK"])
        self.attempt = int(environment.get("TORCHELASTIC_RESTART_COUNT", 0))
        self.round = 0
        self._shares = False
        self._record = Path(environment[_RECORD]) / f"rank{self.rank}-attempt{self.attempt}.jsonl"
        self._faults = [
            fault
            for fault in (Fault(**values) for values in json.loads(environment[_FAULTS]))
            if fault.rank == self.rank and fault.attempt in (None, self.attempt)
        ]

    def install(self) -> None:
        """Observe the run that follows, and wrap what an observer is not told of: the load of the base, and renaming a
        checkpoint, of which all is written by then."""
        OBSERVERS.append(lambda parts: self)
        self._before(base_loading, "load_base", "start")
        self._before(os, "rename", "saving", lambda source, target: Path(target).name.startswith("step-"))

    def before_round(self, number: int, languages: Sequence[ActiveLanguage]) -> None:
        self.round = number
        self._shares = any(active.group.size > 1 for active in languages)
        self._reach("data")

    def before_pass(self, number: int, passes: int) -> None:
        self._reach("forward")

    def after_passes(self, gradients: Mapping[str, Tensor]) -> None:
        for fault in self._due("forward"):
            if fault.kind == "nan" and fault.language in gradients:
                self._strike(fault)
                gradients[fault.language][:7] = float("nan")
        if self._shares:
            self._reach("reduce")

    def before_evaluation(self, languages: Sequence[str]) -> None:
        self._reach("evaluation")

    def after_round(self, report: RoundReport) -> None:
        self._reach("edge")

    def note(self, what: str, code: int | None = None) -> None:
        """Write down that this happened now."""
        happened = Note(what, self.rank, self.attempt, self.round, time.monotonic(), code)
        with open(self._record, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(happened)) + "\n")

    def _before(self, owner: Any, name: str, phase: Phase, counts: Any = lambda *args: True) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def struck(*args: Any, **options: Any) -> Any:
            if counts(*args):
                self._reach(phase)
            return original(*args, **options)

        setattr(owner, name, struck)

    def _reach(self, phase: Phase) -> None:
        for fault in self._due(phase):
            if fault.kind == "disk_slow":
                time.sleep(fault.seconds)
            elif fault.kind != "nan":
                self._strike(fault)

    def _due(self, phase: Phase) -> list[Fault]:
        return [fault for fault in self._faults if fault.phase == phase and self.round >= fault.round]

    def _strike(self, fault: Fault) -> None:
        self._faults.remove(fault)
        self.note(fault.kind)
        if fault.kind in _SIGNALS:
            os.kill(os.getpid(), _SIGNALS[fault.kind])
        elif fault.kind == "term_launcher":
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(_PASSING_ON_SECONDS)
        elif fault.kind == "disk_full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif fault.kind == "raise":
            raise RuntimeError("a fault that a test put here")
