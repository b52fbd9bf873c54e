"""Is the run directory free, and how did the last attempt there end?"""

from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from mms_dist.checkpoint.lock import lock_holder
from mms_dist.errors import ExitCode
from mms_dist.training.attempts import RunState, read_status


def look(context: Context, notes: Notes) -> None:
    """Reads RUN/run.lock and RUN/status.json; writes nothing."""
    if context.config is None or not context.directory_is_writable:
        notes.skip("needs the configuration and the run directory")
        return
    directory = Path(context.config.run.directory)
    if (holder := lock_holder(directory)) is not None:
        notes.fail(
            f"{directory} is in use by {holder}",
            "wait for that run, stop it, or choose another run.directory",
        )
        return
    status = read_status(directory)
    if status is None:
        notes.ok(f"{directory} is new: no attempt has begun there")
    elif status.state == RunState.STALLED:
        notes.warn(
            f"the last attempt in {directory} gave up: {status.reason}",
            "fix that first; a start by hand counts restarts anew",
        )
    elif status.state == RunState.INCOMPLETE or status.exit_code == ExitCode.INCOMPLETE:
        notes.warn(
            f"the last attempt in {directory} came to its end, and not every language is well: {status.reason}",
            "fix that first; languages that are in quarantine are left as they are",
        )
    elif status.state == RunState.FAILED:
        notes.warn(
            f"the last attempt in {directory} failed at {status.ended}: {status.reason}",
            "see that it is fixed; the run goes on from its last checkpoints",
        )
    elif status.state == RunState.FINISHED:
        notes.ok(f"the run in {directory} has finished: only languages and steps that are new would be trained")
    else:
        steps = "" if status.steps is None else f" at {status.steps:,} steps"
        notes.ok(f"{directory} is free; the last attempt was {_ended(status.state)}{steps} and goes on from there")


def _ended(state: str) -> str:
    return "killed" if state == "running" else state  # it says so, and does not hold the lock
