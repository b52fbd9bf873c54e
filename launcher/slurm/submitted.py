"""Which jobs were submitted for a run: `mms-dist submit` notes their numbers in the scripts it keeps in RUN/logs/."""

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
"""What the batch script leaves of a job that has ended without having begun, however it was submitted."""


@dataclass(frozen=True)
class Submitted:
    """A job that is to train a run, has trained it or has tried to."""

    trace: Trace
    log: Path | None = None
    """Where it prints, or will."""


def note(script: Path, submission: Submission, job: str) -> None:
    """Add to the script that is kept of a job what has become of it."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    # The job is in the queue and its number printed: that it cannot be noted as well is no reason to fail.
    with contextlib.suppress(OSError), script.open("a", encoding="utf-8") as file:
        file.write(f"# Submitted as job {job} of {submission.script} at {at}\n")


def submitted_jobs(run: Path) -> list[Submitted]:
    """Those of a run that train it, the oldest first."""
    found = [job for script in (run / LOGS).glob("*.sbatch") for job in _noted(script)]
    known = {job.trace.number for job in found}
    for path in run.glob("requeue-*.json"):
        if (match := _COUNT.fullmatch(path.name)) and match[1] not in known:
            found.append(Submitted(Trace(match[1], datetime.fromtimestamp(path.stat().st_mtime, UTC))))
    return sorted(found, key=lambda job: job.trace.seen)


def _noted(script: Path) -> list[Submitted]:
    """People may have changed it since, or keep it to themselves: what cannot be read there is passed over."""
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
