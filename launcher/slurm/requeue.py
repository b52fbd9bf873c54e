"""Decide whether to requeue a job whose run has ended.

Each restart without progress is counted in one place. The run itself counts those after a failure (`stalled` in
RUN/status.json), and ends as stalled when there are too many. It knows nothing of starts that never opened the run
directory, and a start that was stopped is no failure to it. Those are counted here.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mms_dist.errors import ExitCode, TrainingError
from mms_dist.files import read_file, replace_text
from mms_dist.run_directory.status_file import RunState, Status

STOPS_PER_FAILURE = 4
"""Stops are not failures: this many times more of them are allowed without a step."""


class Action(Enum):
    """The next action of a job."""

    DONE = "done"
    REQUEUE = "requeue"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Decision:
    """The next action, the reason for it, and the job's exit code (for a requeue: the code if requeuing fails)."""

    action: Action
    reason: str
    exit_code: int


@dataclass(frozen=True)
class JobProgress:
    """When a job last made progress: `RUN/requeue-JOB.json`.

    SLURM's count of restarts includes those that ended before any of our processes ran. So the number of restarts
    without progress is the difference of two of its counts.
    """

    job: int
    steps: int
    """Most optimizer steps of all languages together so far."""
    restarts: int
    """SLURM_RESTART_COUNT when `steps` was reached."""

    @classmethod
    def after(cls, before: "JobProgress | None", *, job: int, restarts: int, steps: int) -> "JobProgress":
        """Return the progress after `steps` have been reached."""
        if before is None or before.job != job or steps > before.steps or restarts < before.restarts:
            return cls(job, steps, restarts)
        return before

    def restarts_without_step(self, restarts: int) -> int:
        """Return the number of consecutive restarts without a step."""
        return restarts - self.restarts


def decide(
    outcome: Status | None, *, warned: bool, refusal: str | None, restarts_without_step: int, allowed: int
) -> Decision:
    """Decide what happens to a job after the launchers on all its machines have ended.

    Args:
        outcome: the run's status if an attempt has started in this start of the job, else None.
        warned: SLURM has warned that the time limit is near, or a user has asked the job to stop.
        refusal: a problem that a machine found before the run could start and that needs manual action.
        restarts_without_step: consecutive restarts of the job without a step, including this one.
        allowed: how many of them are allowed (run.stalled_restarts); 0: any number.
    """
    if outcome is not None and outcome.state == RunState.FINISHED:
        return Decision(Action.DONE, "every language is done", 0)
    if outcome is not None and (
        outcome.state in (RunState.STALLED, RunState.INCOMPLETE)
        or (outcome.state == RunState.FAILED and not outcome.restart)
    ):
        return Decision(Action.GIVE_UP, outcome.reason or "it failed", outcome.exit_code or ExitCode.FAILED)
    if outcome is None and refusal is not None and not warned:
        return Decision(Action.GIVE_UP, f"it could not start: {refusal}", ExitCode.USER_ERROR)
    what = _what_happened(outcome, warned)
    if outcome is not None and outcome.state != RunState.PREEMPTED:
        return Decision(Action.REQUEUE, what, ExitCode.PREEMPTED)  # the run counts its failures itself
    was_stopped = warned or outcome is not None
    limit = allowed * STOPS_PER_FAILURE if was_stopped else allowed
    if limit and restarts_without_step >= limit:
        return Decision(
            Action.GIVE_UP,
            f"{what}; {restarts_without_step} restarts in a row made no step (run.stalled_restarts: {allowed}). "
            "The lines above show why. After fixing that, submit the job again: it resumes from the last checkpoints",
            ExitCode.FAILED,
        )
    return Decision(Action.REQUEUE, what, ExitCode.PREEMPTED)


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


def read_progress(directory: Path, job: int) -> JobProgress | None:
    """Read what `write_progress` wrote; None if there is no file.

    Raises:
        TrainingError: the file cannot be read or has other content.
    """
    path = progress_path(directory, job)
    try:
        values: Mapping[str, Any] = json.loads(read_file(path))
        return JobProgress(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"cannot read {path} ({error})", fix="remove it; that only resets the count of restarts"
        ) from error


def write_progress(directory: Path, progress: JobProgress) -> None:
    """
    Raises:
        TrainingError: the file cannot be written.
    """
    replace_text(progress_path(directory, progress.job), json.dumps(asdict(progress), indent=2) + "\n")
