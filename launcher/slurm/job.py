"""What SLURM knows of a job: whether it runs, waits or is gone, and where it prints."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10.0
PENDING = "PENDING"
AT_WORK = ("RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING")
UNKNOWN = ("Unknown", "N/A", "(null)", "None", "")


@dataclass(frozen=True)
class Job:
    """A job that SLURM still remembers: it does so for some minutes after its end."""

    number: str
    state: str
    """As SLURM has it: PENDING, RUNNING, COMPLETED, TIMEOUT …"""
    reason: str | None
    """Why it waits or ended, in SLURM's word."""
    nodes: str | None
    begins: str | None
    """Of one that waits, the earliest or expected start."""
    time: str
    """That it has run of its limit."""
    restarts: int
    log: Path | None

    @property
    def is_at_work(self) -> bool:
        """Whether its processes are there; it may be waiting to begin, or to begin again."""
        return self.state in AT_WORK

    @property
    def line(self) -> str:
        """In one line."""
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


def find_job(number: str) -> Job | None:
    """What `scontrol` says of a job; None where there is no SLURM, or it has forgotten the job."""
    command = ["scontrol", "--oneliner", "show", "job", number]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode or not answer.stdout.strip():
        return None
    values = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", answer.stdout.strip().splitlines()[0]))
    log = _known(values.get("StdOut"))
    return Job(
        number=number,
        state=values.get("JobState", "UNKNOWN"),
        reason=_known(values.get("Reason")),
        nodes=_known(values.get("NodeList")),
        begins=_known(values.get("StartTime")),
        time=f"{values.get('RunTime', '?')} of {values.get('TimeLimit', '?')}",
        restarts=int(values.get("Restarts", 0)),
        log=Path(log) if log else None,
    )


def _known(value: str | None) -> str | None:
    return None if value is None or value in UNKNOWN else value
