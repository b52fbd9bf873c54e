"""The jobs of a run: what the run's files record of them, and what SLURM says of their state.

`mms-dist submit` writes the numbers of jobs into the scripts that it leaves in RUN/logs/.
"""

import contextlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mms_dist.run_directory.paths import RunPaths

SECONDS = 10.0
PENDING, NOT_KNOWN = "PENDING", "UNKNOWN"
AT_WORK = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING")
WAITING = (PENDING, "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
NOTHING = ("Unknown", "N/A", "(null)", "None", "")
SKEW = timedelta(minutes=1)
"""How much the clocks of two machines may differ."""

_NOTE = re.compile(
    r"^# Submitted as job (?P<job>\d+) of (?P<script>\w+) at (?P<at>[^\s,]+)(?:, log (?P<log>.+))?$", re.MULTILINE
)
_COUNT = re.compile(r"requeue-(\d+)\.json")
"""Written by the batch script, so it also shows jobs that ended before the run started, however they were submitted."""
_SUBMITTED_AT = re.compile(r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d$")
"""The end of the names of scripts that `mms-dist submit` leaves."""


@dataclass(frozen=True)
class JobRecord:
    """A job as recorded in the run's files. SLURM reuses job numbers, and other clusters use the same ones."""

    number: str
    seen: datetime
    """A time at which the job already existed."""


@dataclass(frozen=True)
class Job:
    """A job as SLURM knows it. SLURM forgets a job some minutes after its end."""

    number: str
    state: str
    """SLURM's state: PENDING, RUNNING, COMPLETED, TIMEOUT …; UNKNOWN if SLURM does not know the job."""
    reason: str | None = None
    """SLURM's reason for the state, or why the job is unknown."""
    nodes: str | None = None
    begins: str | None = None
    """The earliest or expected start of a pending job."""
    time: str = ""
    """Elapsed time and time limit."""
    restarts: int = 0
    log: Path | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether its processes exist."""
        return self.state in AT_WORK

    @property
    def is_known(self) -> bool:
        return self.state != NOT_KNOWN

    @property
    def is_waiting(self) -> bool:
        """Whether it is queued to start or restart."""
        return self.state in WAITING

    @property
    def has_ended(self) -> bool:
        """Whether SLURM says that it has ended or is ending."""
        return self.is_known and not self.is_at_work and not self.is_waiting

    @property
    def line(self) -> str:
        """The job's state in one line."""
        if not self.is_known:
            return f"{self.number} unknown: {self.reason}"
        text = f"{self.number} {self.state}" + (f" ({self.reason})" if self.reason else "")
        if self.state == PENDING:
            text += f", starts {self.begins}" if self.begins else ""
        else:
            text += f", {self.time}" + (f" on {self.nodes}" if self.nodes else "")
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        return text + (f"; requeued {times}" if self.restarts else "")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "number": self.number,
            "state": self.state,
            "reason": self.reason,
            "nodes": self.nodes,
            "begins": self.begins,
            "restarts": self.restarts,
            "log": str(self.log) if self.log else None,
        }


def find_job(record: JobRecord) -> Job:
    """Ask `scontrol` for the recorded job."""
    command = ["scontrol", "--oneliner", "show", "job", record.number]
    environment = os.environ | {"SLURM_TIME_FORMAT": "standard"}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except FileNotFoundError:
        return Job(record.number, NOT_KNOWN, "this machine has no SLURM")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Job(record.number, NOT_KNOWN, f"SLURM does not respond ({error})")
    messages = answer.stderr.strip().splitlines()
    if answer.returncode or not answer.stdout.strip():
        forgotten = not messages or "Invalid job id" in messages[-1]
        return Job(record.number, NOT_KNOWN, "SLURM has forgotten it" if forgotten else messages[-1])
    values = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", answer.stdout.strip().splitlines()[0]))
    if _is_another(values, record):
        name, user, when = (values.get(name, "?") for name in ("JobName", "UserId", "SubmitTime"))
        return Job(record.number, NOT_KNOWN, f"its number now belongs to {name} of {user}, submitted {when}")
    log = _known(values.get("StdOut"))
    return Job(
        number=record.number,
        state=values.get("JobState", NOT_KNOWN),
        reason=_known(values.get("Reason")),
        nodes=_known(values.get("NodeList")),
        begins=_known(values.get("StartTime")),
        time=f"{values.get('RunTime', '?')} of {values.get('TimeLimit', '?')}",
        restarts=int(values.get("Restarts", 0)),
        log=Path(log) if log else None,
    )


def _is_another(values: Mapping[str, str], record: JobRecord) -> bool:
    """Return whether `scontrol` describes a job that cannot be the recorded one, because it was submitted later.

    Names and users prove nothing: jobs can be renamed, and file systems number users differently.
    """
    submitted = _known(values.get("SubmitTime"))
    if submitted is None or values.get("Restarts", "0") != "0":  # a requeue resets the submit time
        return False
    return datetime.fromisoformat(submitted).astimezone() > record.seen + SKEW


def _known(value: str | None) -> str | None:
    return None if value is None or value in NOTHING else value


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted to train a run."""

    record: JobRecord
    log: Path | None = None
    """The job's log file, which may not exist yet."""


def note(path: Path, script: str, job: str, log: Path) -> None:
    """Append a job's number to the stored command that submitted it."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    # The job is already queued, so a failure to write must not be an error.
    with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(f"# Submitted as job {job} of {script} at {at}, log {log}\n")


def submitted_jobs(run: Path) -> list[Submitted]:
    """Return the jobs that train a run, oldest first."""
    logs = RunPaths(run).logs
    paths = [*logs.glob("*.sh"), *logs.glob("*.sbatch")]  # the latter from earlier versions
    found = [job for path in paths for job in _noted(path)]
    known = {job.record.number for job in found}
    for path in run.glob("requeue-*.json"):
        if (match := _COUNT.fullmatch(path.name)) and match[1] not in known:
            found.append(Submitted(JobRecord(match[1], datetime.fromtimestamp(path.stat().st_mtime, UTC))))
    return sorted(found, key=lambda job: job.record.seen)


def _noted(path: Path) -> list[Submitted]:
    """Return the jobs noted in a script. Skip what cannot be read: users may have edited or protected the script."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    jobs = []
    for match in _NOTE.finditer(text):
        if match["script"] == "train":
            # Earlier versions did not note the log, which had this name unless the user chose another one.
            log = Path(match["log"] or path.with_name(f"{_SUBMITTED_AT.sub('', path.stem)}-{match['job']}.out"))
            with contextlib.suppress(ValueError):
                jobs.append(Submitted(JobRecord(match["job"], datetime.fromisoformat(match["at"])), log))
    return jobs
