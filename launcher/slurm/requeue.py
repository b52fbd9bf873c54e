"""Decide whether to requeue a job whose run has ended."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mms_dist.errors import ExitCode, TrainingError
from mms_dist.files import read_file, replace_text
from mms_dist.run_directory.status_file import RunState, Status

PATIENCE = 4
"""A stop is not a failure: it allows this many times more restarts without a step."""


class Action(Enum):
    """What the job does next."""

    DONE = "done"
    REQUEUE = "requeue"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Verdict:
    """What to do, why, and the job's exit code (for a requeue: the code if requeuing fails)."""

    action: Action
    reason: str
    exit_code: int


@dataclass(frozen=True)
class Progress:
    """When a job last made progress: `RUN/requeue-JOB.json`.

    The run's own count of restarts without progress misses starts that never opened the run directory, and ignores
    those that were stopped.
    """

    job: int
    steps: int
    """Most optimizer steps of all languages together so far."""
    restarts: int
    """SLURM_RESTART_COUNT when `steps` was reached."""

    @classmethod
    def after(cls, before: "Progress | None", *, job: int, restarts: int, steps: int) -> "Progress":
        """Return the progress after `steps` have been reached."""
        if before is None or before.job != job or steps > before.steps or restarts < before.restarts:
            return cls(job, steps, restarts)
        return before

    def fruitless(self, restarts: int) -> int:
        """Return the number of consecutive restarts without a step."""
        return restarts - self.restarts


def decide(outcome: Status | None, *, warned: bool, refusal: str | None, fruitless: int, allowed: int) -> Verdict:
    """Decide what happens to a job after the launchers on all its machines have ended.

    Args:
        outcome: the run's status if an attempt has started in this start of the job, else None.
        warned: SLURM has warned that the time limit is near, or a user has asked the job to stop.
        refusal: a problem that a machine found before the run could start and that needs manual action.
        fruitless: consecutive restarts without a step, including this one.
        allowed: how many of them are allowed after failures (run.stalled_restarts); 0: any number.
    """
    if outcome is not None and outcome.state == RunState.FINISHED:
        return Verdict(Action.DONE, "every language is done", 0)
    if outcome is not None and (
        outcome.state in (RunState.STALLED, RunState.INCOMPLETE)
        or (outcome.state == RunState.FAILED and not outcome.restart)
    ):
        return Verdict(Action.GIVE_UP, outcome.reason or "it failed", outcome.exit_code or ExitCode.FAILED)
    if outcome is None and refusal is not None and not warned:
        return Verdict(Action.GIVE_UP, f"it could not start: {refusal}", ExitCode.USER_ERROR)
    stopped = (outcome is None and warned) or (outcome is not None and outcome.state == RunState.PREEMPTED)
    what, limit = _what_happened(outcome, warned), allowed * PATIENCE if stopped else allowed
    if limit and fruitless >= limit:
        return Verdict(
            Action.GIVE_UP,
            f"{what}; {fruitless} restarts in a row made no step (run.stalled_restarts: {allowed}). "
            "The lines above show why. After fixing that, submit the job again: it resumes from the last checkpoints",
            ExitCode.FAILED,
        )
    return Verdict(Action.REQUEUE, what, ExitCode.PREEMPTED)


def _what_happened(outcome: Status | None, warned: bool) -> str:
    if outcome is None:
        return "it was stopped before the run started" if warned else "it ended before the run started"
    if outcome.state == RunState.PREEMPTED and not outcome.restored:
        return "it was stopped before its first round"
    if outcome.state == RunState.PREEMPTED:
        return f"it was stopped after round {outcome.round}, with a checkpoint of every language"
    if outcome.state == RunState.RUNNING:
        early = " before it had saved" if warned else ""
        return f"it was killed{early}, or a machine went down; work since the last checkpoints is repeated"
    return f"it failed: {outcome.reason}"


def progress_path(directory: Path, job: int) -> Path:
    """Return the job's own progress file: another job on the same run must not reset its count."""
    return directory / f"requeue-{job}.json"


def read_progress(directory: Path, job: int) -> Progress | None:
    """Read what `write_progress` wrote; None if there is no file.

    Raises:
        TrainingError: the file cannot be read or has other content.
    """
    path = progress_path(directory, job)
    try:
        values: Mapping[str, Any] = json.loads(read_file(path))
        return Progress(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"cannot read {path} ({error})", fix="remove it; that only resets the count of restarts"
        ) from error


def write_progress(directory: Path, progress: Progress) -> None:
    """
    Raises:
        TrainingError: the file cannot be written.
    """
    replace_text(progress_path(directory, progress.job), json.dumps(asdict(progress), indent=2) + "\n")
