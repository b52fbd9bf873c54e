"""Find the jobs that were submitted for a run: `mms-dist submit` writes their numbers into the scripts in RUN/logs/."""

import contextlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from launcher.slurm.job import Trace
from launcher.slurm.submission import LOGS, Submission
from mms_dist.errors import ConfigError

_NOTE = re.compile(r"^# Submitted as job (?P<job>\d+) of (?P<script>\w+) at (?P<at>\S+)$", re.MULTILINE)
_COUNT = re.compile(r"requeue-(\d+)\.json")
"""Written by the batch script, so it also shows jobs that ended before the run started, however they were submitted."""


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted to train a run."""

    trace: Trace
    log: Path | None = None
    """The job's log file, which may not exist yet."""


def note(script: Path, submission: Submission, job: str) -> None:
    """Append the job's number to the stored copy of its script."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    # The job is already queued, so a failure to write must not be an error.
    with contextlib.suppress(OSError), script.open("a", encoding="utf-8") as file:
        file.write(f"# Submitted as job {job} of {submission.script} at {at}\n")


def submitted_jobs(run: Path) -> list[Submitted]:
    """Return the jobs that train a run, oldest first."""
    found = [job for script in (run / LOGS).glob("*.sbatch") for job in _noted(script)]
    known = {job.trace.number for job in found}
    for path in run.glob("requeue-*.json"):
        if (match := _COUNT.fullmatch(path.name)) and match[1] not in known:
            found.append(Submitted(Trace(match[1], datetime.fromtimestamp(path.stat().st_mtime, UTC))))
    return sorted(found, key=lambda job: job.trace.seen)


def _noted(script: Path) -> list[Submitted]:
    """Return the jobs noted in a script. Skip what cannot be read: users may have edited or protected the script."""
    try:
        text = script.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    jobs = []
    for match in _NOTE.finditer(text):
        if match["script"] == "train":
            submission = Submission("train", text, script.parent)
            log = None
            with contextlib.suppress(ConfigError, KeyError):
                log = submission.log(match["job"])
            with contextlib.suppress(ValueError):
                jobs.append(Submitted(Trace(match["job"], datetime.fromisoformat(match["at"])), log))
    return jobs
