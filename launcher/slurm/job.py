"""What SLURM knows of a job: whether it runs, waits or is gone, and where it prints."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

SECONDS = 10.0
PENDING, NOT_KNOWN = "PENDING", "UNKNOWN"
AT_WORK = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING")
WAITING = (PENDING, "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
NOTHING = ("Unknown", "N/A", "(null)", "None", "")
SKEW = timedelta(minutes=1)
"""By which the clocks of two machines may differ."""


@dataclass(frozen=True)
class Trace:
    """What the files of a run tell of a job. SLURM uses numbers again, and another cluster has the same ones."""

    number: str
    seen: datetime
    """When it was there already."""


@dataclass(frozen=True)
class Job:
    """A job, as SLURM remembers it: it does so for some minutes after its end."""

    number: str
    state: str
    """As SLURM has it: PENDING, RUNNING, COMPLETED, TIMEOUT …; UNKNOWN: it does not know of this job."""
    reason: str | None = None
    """Why it waits or ended, in SLURM's word; or why it is not known."""
    nodes: str | None = None
    begins: str | None = None
    """Of one that waits, the earliest or expected start."""
    time: str = ""
    """That it has run of its limit."""
    restarts: int = 0
    log: Path | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether its processes are there; it may be waiting to begin, or to begin again."""
        return self.state in AT_WORK

    @property
    def is_known(self) -> bool:
        return self.state != NOT_KNOWN

    @property
    def is_waiting(self) -> bool:
        """Whether it is to begin, or to begin again."""
        return self.state in WAITING

    @property
    def has_ended(self) -> bool:
        """Whether SLURM says so; one that is ending has."""
        return self.is_known and not self.is_at_work and not self.is_waiting

    @property
    def line(self) -> str:
        """In one line."""
        if not self.is_known:
            return f"{self.number} unknown: {self.reason}"
        text = f"{self.number} {self.state}" + (f" ({self.reason})" if self.reason else "")
        if self.state == PENDING:
            text += f", begins {self.begins}" if self.begins else ""
        else:
            text += f", {self.time}" + (f" on {self.nodes}" if self.nodes else "")
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        return text + (f"; requeued {times}" if self.restarts else "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "number": self.number,
            "state": self.state,
            "reason": self.reason,
            "nodes": self.nodes,
            "begins": self.begins,
            "restarts": self.restarts,
            "log": str(self.log) if self.log else None,
        }


def find_job(trace: Trace) -> Job:
    """What `scontrol` says of a job, if it is the one that has left the trace."""
    command = ["scontrol", "--oneliner", "show", "job", trace.number]
    environment = os.environ | {"SLURM_TIME_FORMAT": "standard"}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    except FileNotFoundError:
        return Job(trace.number, NOT_KNOWN, "there is no SLURM here")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Job(trace.number, NOT_KNOWN, f"SLURM does not answer ({error})")
    words = answer.stderr.strip().splitlines()
    if answer.returncode or not answer.stdout.strip():
        forgotten = not words or "Invalid job id" in words[-1]
        return Job(trace.number, NOT_KNOWN, "SLURM has forgotten it" if forgotten else words[-1])
    values = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", answer.stdout.strip().splitlines()[0]))
    if _is_another(values, trace):
        name, user, when = (values.get(name, "?") for name in ("JobName", "UserId", "SubmitTime"))
        return Job(trace.number, NOT_KNOWN, f"its number is now that of {name} of {user}, submitted {when}")
    log = _known(values.get("StdOut"))
    return Job(
        number=trace.number,
        state=values.get("JobState", NOT_KNOWN),
        reason=_known(values.get("Reason")),
        nodes=_known(values.get("NodeList")),
        begins=_known(values.get("StartTime")),
        time=f"{values.get('RunTime', '?')} of {values.get('TimeLimit', '?')}",
        restarts=int(values.get("Restarts", 0)),
        log=Path(log) if log else None,
    )


def _is_another(values: Mapping[str, str], trace: Trace) -> bool:
    """Whether what `scontrol` tells is of a job that cannot have left the trace. Names and users tell nothing: jobs can
    be renamed, and file systems know users by other numbers."""
    submitted = _known(values.get("SubmitTime"))
    if submitted is None or values.get("Restarts", "0") != "0":  # with a requeue a job is submitted anew
        return False
    return datetime.fromisoformat(submitted).astimezone() > trace.seen + SKEW


def _known(value: str | None) -> str | None:
    return None if value is None or value in NOTHING else value
