"""Whether a job whose run has ended is to go back into the queue."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mms_dist.errors import ExitCode, TrainingError
from mms_dist.files import read_file, replace_text
from mms_dist.training.attempts import RunState, Status

PATIENCE = 4
"""Being stopped is nobody's fault: so many times as many restarts without a step are allowed as after failures."""


class Action(Enum):
    """What the job does next."""

    DONE = "done"
    REQUEUE = "requeue"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Verdict:
    """What to do, why, and the job's exit code (of a job that is requeued: should that fail)."""

    action: Action
    reason: str
    exit_code: int


@dataclass(frozen=True)
class Progress:
    """When a job last came on: `RUN/requeue-JOB.json`. The run's own count of fruitless restarts does not know of those
    that never came so far as to open the run directory, nor mind those that were stopped."""

    job: int
    steps: int
    """Optimizer steps of all languages together, at most so far."""
    restarts: int
    """SLURM_RESTART_COUNT when they became so many."""

    @classmethod
    def after(cls, before: "Progress | None", *, job: int, restarts: int, steps: int) -> "Progress":
        """As it is once `steps` have been reached."""
        if before is None or before.job != job or steps > before.steps or restarts < before.restarts:
            return cls(job, steps, restarts)
        return before

    def fruitless(self, restarts: int) -> int:
        """Restarts in a row that brought no step."""
        return restarts - self.restarts


def decide(outcome: Status | None, *, warned: bool, refusal: str | None, fruitless: int, allowed: int) -> Verdict:
    """What becomes of a job when the launchers of all its machines have ended.

    Args:
        outcome: the run's status if an attempt has begun in this start of the job, else None.
        warned: SLURM has announced the end of the job's time, or someone has asked it to stop.
        refusal: what a machine has found before the run could begin, and a person has to fix.
        fruitless: restarts in a row without a step, this one included.
        allowed: how many of them after failures (run.stalled_restarts); 0: any number.
    """
    if outcome is not None and outcome.state == RunState.FINISHED:
        return Verdict(Action.DONE, "every language is done", 0)
    if outcome is not None and (
        outcome.state in (RunState.STALLED, RunState.INCOMPLETE)
        or (outcome.state == RunState.FAILED and not outcome.restart)
    ):
        return Verdict(Action.GIVE_UP, outcome.reason or "it failed", outcome.exit_code or ExitCode.FAILED)
    if outcome is None and refusal is not None and not warned:
        return Verdict(Action.GIVE_UP, f"it could not begin: {refusal}", ExitCode.USER_ERROR)
    stopped = (outcome is None and warned) or (outcome is not None and outcome.state == RunState.PREEMPTED)
    what, limit = _what_happened(outcome, warned), allowed * PATIENCE if stopped else allowed
    if limit and fruitless >= limit:
        return Verdict(
            Action.GIVE_UP,
            f"{what}; and {fruitless} restarts in a row have brought no step (run.stalled_restarts: {allowed}). "
            "The lines above tell why; once that is fixed, submit it again: it goes on from the last checkpoints",
            ExitCode.FAILED,
        )
    return Verdict(Action.REQUEUE, what, ExitCode.PREEMPTED)


def _what_happened(outcome: Status | None, warned: bool) -> str:
    if outcome is None:
        return "it was stopped before it had begun" if warned else "it did not come so far as to begin"
    if outcome.state == RunState.PREEMPTED and not outcome.restored:
        return "it was stopped before its first round"
    if outcome.state == RunState.PREEMPTED:
        return f"it was stopped after round {outcome.round}, with a checkpoint of every language"
    if outcome.state == RunState.RUNNING:
        early = ", before it had saved" if warned else ""
        return f"it was killed{early}, or a machine went down; what came after the last checkpoints is done again"
    return f"it failed: {outcome.reason}"


def progress_path(directory: Path, job: int) -> Path:
    """Every job has a count of its own: another one on the same run must not reset it."""
    return directory / f"requeue-{job}.json"


def read_progress(directory: Path, job: int) -> Progress | None:
    """What `write_progress` has left; None if nothing.

    Raises:
        TrainingError: there is a file that says something else.
    """
    path = progress_path(directory, job)
    try:
        values: Mapping[str, Any] = json.loads(read_file(path))
        return Progress(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TrainingError(
            f"cannot read {path} ({error})", fix="remove it: only the count of restarts begins anew"
        ) from error


def write_progress(directory: Path, progress: Progress) -> None:
    """
    Raises:
        TrainingError: it cannot be written.
    """
    replace_text(progress_path(directory, progress.job), json.dumps(asdict(progress), indent=2) + "\n")
