"""The status of a run, read from its folder only: while it runs, while it waits for a restart, or after it ends."""

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from mms_dist.monitor.history import QUARANTINED, TRAINING, WAITING, History, LanguageHistory
from mms_dist.monitor.metrics_log import RunMetrics, read_metrics
from mms_dist.monitor.run_reader import as_json, read_run
from mms_dist.monitor.run_summary import RunSummary
from mms_dist.run_directory.paths import RunPaths
from mms_dist.run_directory.status_file import RunState, Status, read_status

KILLED, UNKNOWN, NOT_BEGUN = "killed", "unknown", "not begun"
LONGEST_SECONDS = 100 * 365 * 86_400.0
"""A longer estimate means that the run does not get on."""
QUIET_SECONDS, QUIET_ROUNDS = 300.0, 5
"""A run that wrote nothing for this long, and for this many of its longest rounds, may be dead."""


@dataclass(frozen=True)
class RunStatus:
    """A run at one point in time. Times and counts are None if the run's files do not have them."""

    directory: Path
    status: Status | None
    history: History
    metrics: RunMetrics | None
    """The newest of this attempt; None before its first round, and for runs of versions without metrics."""
    steps_of: Callable[[str], int] | None
    """Returns a language's configured steps; None if they are unknown."""
    now: datetime
    alive: bool | None
    """Whether the attempt's process exists; None if it was started on another machine, or has ended."""
    begun: bool = True
    """Whether the run has written anything yet; a run that has not begun waits to be started."""

    @property
    def languages(self) -> list[LanguageHistory]:
        """The languages, sorted by code."""
        return [self.history.languages[code] for code in sorted(self.history.languages)]

    @property
    def summary(self) -> RunSummary:
        return RunSummary(self.directory, self.languages)

    @property
    def state(self) -> str:
        """The state of `RUN/status.json`; `killed` if it says running but its process is gone."""
        if not self.begun:
            return NOT_BEGUN
        if self.status is None:
            return self.history.ended or UNKNOWN
        return KILLED if self.status.state == RunState.RUNNING and self.alive is False else self.status.state

    @property
    def round(self) -> int:
        """The last known round."""
        return max(
            self.history.round, self.metrics.round if self.metrics else 0, (self.status and self.status.round) or 0
        )

    @property
    def steps(self) -> int | None:
        """Steps taken by all languages together."""
        if self.status is None or self.status.steps_at_start is None:
            return None
        if self.status.ended and self.status.steps is not None:
            return self.status.steps
        # Metrics are written every few seconds and events immediately, so either may be ahead.
        return max(self.status.steps_at_start + (self.metrics.steps if self.metrics else 0), self._event_steps)

    @property
    def remaining_steps(self) -> int | None:
        """Steps that all languages together still have to take if none stops early."""
        left = 0
        for language in self._own_languages:
            if language.state in (TRAINING, WAITING):
                steps = language.steps or (self.steps_of(language.language) if self.steps_of else None)
                if steps is None:
                    return None
                left += max(0, steps - language.step)
        # A language writes events only from time to time; the run's own count includes its steps since then.
        since = 0 if self.steps is None else max(0, self.steps - self._event_steps)
        return max(0, left - since)

    @property
    def _own_languages(self) -> list[LanguageHistory]:
        """The languages, without those that were copied from another run and never trained in this one."""
        return [each for each in self.languages if each.steps or not each.step]

    @property
    def _event_steps(self) -> int:
        """Steps of all languages together according to the events."""
        return sum(language.step for language in self._own_languages)

    @property
    def fraction(self) -> float | None:
        """Fraction of all steps taken. Steps that a quarantined language will not take count as not taken."""
        steps, left = self.steps, self.remaining_steps
        if steps is None or left is None:
            return None
        lost = sum(max(0, each.steps - each.step) for each in self.languages if each.state == QUARANTINED)
        return steps / (steps + left + lost) if steps + left + lost else None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until the end, at the speed of the last minute; None for a run that is not running."""
        left, speed = self.remaining_steps, self.metrics.steps_per_second if self.metrics else None
        if self.state != RunState.RUNNING or left is None or not speed:
            return None
        seconds = left / speed
        return seconds if seconds < LONGEST_SECONDS else None

    @property
    def silent_seconds(self) -> float | None:
        """Seconds since the run last wrote something: a round, an event or its status."""
        times = [self.history.last, self.metrics.at if self.metrics else None]
        times += [_time(self.status.started), _time(self.status.ended)] if self.status else []
        known = [time for time in times if time is not None]
        return max(0.0, (self.now - max(known)).total_seconds()) if known else None

    @property
    def is_quiet(self) -> bool:
        """Whether the run should be running but has written nothing for a long time."""
        longest = self.metrics.longest_round_seconds if self.metrics else 0.0
        limit = max(QUIET_SECONDS, QUIET_ROUNDS * longest)
        return self.state == RunState.RUNNING and self.silent_seconds is not None and self.silent_seconds > limit

    @property
    def is_without_metrics(self) -> bool:
        """Whether the run has trained rounds but has no metrics: an earlier version of mms-dist trained them."""
        return self.round > 0 and not RunPaths(self.directory).metrics.exists()

    @property
    def checkpoint_seconds(self) -> float | None:
        """Age of the newest checkpoint of any language."""
        return min(self._checkpoint_ages(self.languages), default=None)

    @property
    def at_risk_seconds(self) -> float | None:
        """Age of the oldest last checkpoint among languages in training: the most a kill -9 could lose now."""
        if self.state != RunState.RUNNING:
            return None
        return max(self._checkpoint_ages(each for each in self.languages if each.state == TRAINING), default=None)

    @property
    def logs(self) -> Path | None:
        """The folder with the output of the processes, if they write their output there."""
        folder = RunPaths(self.directory).logs
        return folder if folder.is_dir() else None

    def count(self, state: str) -> int:
        """Number of languages in `state`."""
        return sum(language.state == state for language in self.languages)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values: what `mms-dist report --json` prints, plus the status of the run."""
        metrics, report = self.metrics, as_json(self.summary, self.history)
        languages = report.pop("languages")
        return report | {
            "state": self.state,
            "restart": self.status.restart if self.status else None,
            "reason": self.status.reason if self.status else None,
            "alive": self.alive,
            "restarts": self.status.attempt - 1 if self.status else None,
            "stalled_restarts": self.status.stalled if self.status else None,
            "processes": self.status.processes if self.status else None,
            "round": self.round,
            "counts": {state: self.count(state) for state in ("finished", "training", "waiting", "quarantined")},
            "steps": self.steps,
            "remaining_steps": self.remaining_steps,
            "eta_seconds": _rounded(self.eta_seconds),
            "audio_seconds_per_second": _rounded(metrics.audio_seconds_per_second if metrics else None),
            "round_seconds": _rounded(metrics.round_seconds if metrics else None),
            "silent_seconds": _rounded(self.silent_seconds),
            "checkpoint_seconds": _rounded(self.checkpoint_seconds),
            "at_risk_seconds": _rounded(self.at_risk_seconds),
            "logs": str(self.logs) if self.logs else None,
            "languages": languages,
        }

    def _checkpoint_ages(self, languages: Iterable[LanguageHistory]) -> list[float]:
        times = [each.checkpoint_time for each in languages if each.checkpoint_time is not None]
        return [max(0.0, (self.now - time).total_seconds()) for time in times]


def read_run_status(
    run_directory: str | os.PathLike[str],
    *,
    steps_of: Callable[[str], int] | None = None,
    awaited: bool = False,
    now: datetime | None = None,
) -> RunStatus:
    """Read the status of a run from its folder, without writing or locking anything.

    Args:
        steps_of: returns a language's configured steps (`config.load.configured_steps`). Without it, the time left is
            unknown while languages wait that have never trained.
        awaited: a run is expected to start there, so a folder without one is a run that has not begun.

    Raises:
        MmsDistError: the folder is not a run, or one of its files has unexpected content.
    """
    directory, paths = Path(run_directory), RunPaths(run_directory)
    status = read_status(directory)
    begun = not awaited or any(path.exists() for path in (paths.status, paths.events, paths.adapters))
    if not begun or (status is not None and not paths.events.exists()):
        history = History()  # the run started, or failed, before it reached its languages
    else:
        _, history = read_run(directory)
    return RunStatus(
        directory=directory,
        status=status,
        history=history,
        metrics=read_metrics(directory, since=_time(status.started) if status else None),
        steps_of=steps_of,
        now=now or datetime.now(UTC),
        alive=_is_alive(status),
        begun=begun,
    )


def _is_alive(status: Status | None) -> bool | None:
    if status is None or status.state != RunState.RUNNING or status.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(status.pid)
        # Another process may have the same id by now.
        is_same = process.create_time() <= datetime.fromisoformat(status.started).timestamp() + 1
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError, OverflowError):  # the process belongs to another user, or its id is invalid
        return None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
