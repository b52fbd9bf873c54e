"""Where a run stands, from its folder alone: for whoever looks in while it goes on, waits to go on, or is over."""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from mms_dist.config import Config
from mms_dist.config.load import load_config
from mms_dist.errors import ConfigError
from mms_dist.monitor.history import QUARANTINED, TRAINING, WAITING, History, LanguageHistory
from mms_dist.monitor.pace import Pace, read_pace
from mms_dist.monitor.past import as_json, read_run
from mms_dist.monitor.summary import RunSummary
from mms_dist.training.attempts import STATUS_NAME, RunState, Status, read_status

KILLED, UNKNOWN, NOT_BEGUN = "killed", "unknown", "not begun"
LOGS = "logs"
QUIET_SECONDS, QUIET_ROUNDS = 300.0, 5
"""A run of which nothing is heard for so long, and for so many of its longest rounds, may be gone."""


@dataclass(frozen=True)
class RunStatus:
    """A run at one moment. Times and counts are None where the run's files do not tell them."""

    directory: Path
    status: Status | None
    history: History
    pace: Pace | None
    config: Config | None
    now: datetime
    alive: bool | None
    """Whether the attempt's process is there; None if it was started on another machine, or has ended."""
    begun: bool = True
    """Whether there is anything of the run yet; one that has not begun waits for whoever is to start it."""

    @property
    def languages(self) -> list[LanguageHistory]:
        """By code."""
        return [self.history.languages[code] for code in sorted(self.history.languages)]

    @property
    def summary(self) -> RunSummary:
        return RunSummary(self.directory, self.languages)

    @property
    def state(self) -> str:
        """The state of `RUN/status.json`; `killed` if it says running, and its process is gone."""
        if not self.begun:
            return NOT_BEGUN
        if self.status is None:
            return self.history.ended or UNKNOWN
        return KILLED if self.status.state == RunState.RUNNING and self.alive is False else self.status.state

    @property
    def round(self) -> int:
        """The last one that is known of."""
        return max(self.history.round, self.pace.round if self.pace else 0, (self.status and self.status.round) or 0)

    @property
    def steps(self) -> int | None:
        """Taken by all languages together."""
        if self.status is None or self.status.steps_at_start is None:
            return None
        if self.status.ended and self.status.steps is not None:
            return self.status.steps
        # Rounds are written every few seconds and events at once, so either may be ahead.
        return max(self.status.steps_at_start + (self.pace.steps if self.pace else 0), self._told_steps)

    @property
    def remaining_steps(self) -> int | None:
        """Of all languages together, if none stops early."""
        left = 0
        for language in self._own_languages:
            if language.state in (TRAINING, WAITING):
                steps = language.steps or self._configured_steps(language.language)
                if steps is None:
                    return None
                left += max(0, steps - language.step)
        # Events tell of a language now and then; what it did since is in the run's own count.
        since = 0 if self.steps is None else max(0, self.steps - self._told_steps)
        return max(0, left - since)

    @property
    def _own_languages(self) -> list[LanguageHistory]:
        """Without those that were copied in from another run, and never at work in this one."""
        return [each for each in self.languages if each.steps or not each.step]

    @property
    def _told_steps(self) -> int:
        """What the events tell of `steps`."""
        return sum(language.step for language in self._own_languages)

    @property
    def fraction(self) -> float | None:
        """Of all steps, those that are taken; of a language in quarantine the rest is not going to be."""
        steps, left = self.steps, self.remaining_steps
        if steps is None or left is None:
            return None
        lost = sum(max(0, each.steps - each.step) for each in self.languages if each.state == QUARANTINED)
        return steps / (steps + left + lost) if steps + left + lost else None

    @property
    def eta_seconds(self) -> float | None:
        """Until the end, at the pace of the last minute; None for a run that is not going on."""
        left, pace = self.remaining_steps, self.pace
        if self.state != RunState.RUNNING or left is None or pace is None or not pace.steps_per_second:
            return None
        return left / pace.steps_per_second

    @property
    def silent_seconds(self) -> float | None:
        """Since the run last wrote something: a round, an event or its status."""
        told = [self.history.last, self.pace.last if self.pace else None]
        told += [_moment(self.status.started), _moment(self.status.ended)] if self.status else []
        known = [moment for moment in told if moment is not None]
        return max(0.0, (self.now - max(known)).total_seconds()) if known else None

    @property
    def is_quiet(self) -> bool:
        """Whether it should be going on, and nothing is heard of it."""
        longest = self.pace.longest_round_seconds if self.pace else 0.0
        limit = max(QUIET_SECONDS, QUIET_ROUNDS * longest)
        return self.state == RunState.RUNNING and self.silent_seconds is not None and self.silent_seconds > limit

    @property
    def checkpoint_seconds(self) -> float | None:
        """The age of the newest checkpoint of any language."""
        return min(self._checkpoint_ages(self.languages), default=None)

    @property
    def at_risk_seconds(self) -> float | None:
        """The age of the oldest last checkpoint of a language at work: what kill -9 now would cost it."""
        if self.state != RunState.RUNNING:
            return None
        return max(self._checkpoint_ages(each for each in self.languages if each.state == TRAINING), default=None)

    @property
    def logs(self) -> Path | None:
        """The folder of what the processes printed, if they were told to print there."""
        folder = self.directory / LOGS
        return folder if folder.is_dir() else None

    def count(self, state: str) -> int:
        """How many languages are in `state`."""
        return sum(language.state == state for language in self.languages)

    def as_dict(self) -> dict[str, Any]:
        """Plain values: what `mms-dist report --json` tells of the languages, and the run around them."""
        pace, told = self.pace, as_json(self.summary, self.history)
        languages = told.pop("languages")
        return told | {
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
            "audio_seconds_per_second": _rounded(pace.audio_seconds_per_second if pace else None),
            "round_seconds": _rounded(pace.round_seconds if pace else None),
            "silent_seconds": _rounded(self.silent_seconds),
            "checkpoint_seconds": _rounded(self.checkpoint_seconds),
            "at_risk_seconds": _rounded(self.at_risk_seconds),
            "logs": str(self.logs) if self.logs else None,
            "languages": languages,
        }

    def _configured_steps(self, language: str) -> int | None:
        return self.config.for_language(language).optim.steps if self.config else None

    def _checkpoint_ages(self, languages: Iterable[LanguageHistory]) -> list[float]:
        times = [each.checkpoint_time for each in languages if each.checkpoint_time is not None]
        return [max(0.0, (self.now - time).total_seconds()) for time in times]


def read_standing(
    run_directory: str | os.PathLike[str], *, awaited: bool = False, now: datetime | None = None
) -> RunStatus:
    """Look at a run's folder; nothing is written or locked there.

    Args:
        awaited: someone is to start a run there, so that a folder without one is a run that has not begun.

    Raises:
        MmsDistError: the folder is no run, or one of its files says something else than it should.
    """
    directory = Path(run_directory)
    status = read_status(directory)
    begun = not awaited or any((directory / name).exists() for name in (STATUS_NAME, "events.jsonl", "adapters"))
    if not begun or (status is not None and not (directory / "events.jsonl").exists()):
        history = History()  # it has begun, or failed, before it came to its languages
    else:
        _, history = read_run(directory)
    pace = read_pace(directory, since=_moment(status.started) if status else None)
    return RunStatus(
        directory=directory,
        status=status,
        history=history,
        pace=pace,
        config=_config(directory),
        now=now or datetime.now(UTC),
        alive=_is_alive(status),
        begun=begun,
    )


def _config(directory: Path) -> Config | None:
    """What the run was last started with, if that can still be read; damage there hides nothing but the time left."""
    try:
        return load_config(directory / "config.yaml")
    except ConfigError:
        return None


def _is_alive(status: Status | None) -> bool | None:
    if status is None or status.state != RunState.RUNNING or status.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(status.pid)
        # The number may be another process's by now.
        is_it = process.create_time() <= datetime.fromisoformat(status.started).timestamp() + 1
        return is_it and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, ValueError, OverflowError):  # it is another user's, or its number is none
        return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
