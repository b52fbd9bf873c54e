"""Check that no other process uses the run directory, and how the last attempt there ended."""

from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed, not_checked, ok, warning
from mms_dist.errors import ExitCode
from mms_dist.run_directory.lock import lock_holder
from mms_dist.run_directory.status_file import RunState, read_status


def check(context: Context) -> Findings:
    """Read RUN/run.lock and RUN/status.json. Nothing is written."""
    if context.config is None or not context.directory_is_writable:
        yield not_checked("needs the configuration and the run directory")
        return
    directory = Path(context.config.run.directory)
    if (holder := lock_holder(directory)) is not None:
        yield failed(
            f"{directory} is in use by {holder}",
            "wait for that run, stop it, or choose another run.directory",
        )
        return
    status = read_status(directory)
    if status is None:
        yield ok(f"{directory} is new: it has no attempt yet")
    elif status.state == RunState.STALLED:
        yield warning(
            f"the last attempt in {directory} gave up: {status.reason}",
            "fix that first; a manual start resets the count of restarts",
        )
    elif status.state == RunState.INCOMPLETE or status.exit_code == ExitCode.INCOMPLETE:
        yield warning(
            f"the last attempt in {directory} ended incomplete: {status.reason}",
            "fix that first; a new attempt does not train languages in quarantine",
        )
    elif status.state == RunState.FAILED:
        yield warning(
            f"the last attempt in {directory} failed at {status.ended}: {status.reason}",
            "fix the cause first; the run then resumes from its last checkpoints",
        )
    elif status.state == RunState.FINISHED:
        yield ok(f"the run in {directory} has finished: only new languages and additional steps would be trained")
    else:
        steps = "" if status.steps is None else f" at {status.steps:,} steps"
        yield ok(f"{directory} is free; the last attempt was {_ended(status.state)}{steps}, and the run resumes there")


def _ended(state: str) -> str:
    return "killed" if state == "running" else state  # its status says running, but it does not hold the lock
