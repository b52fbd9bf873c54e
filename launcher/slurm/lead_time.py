"""Check whether SLURM's warning before a job's time limit leaves enough time to finish a round and save."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path

from mms_dist.monitor.metrics_log import read_metrics

OVERHEAD_SECONDS = 30.0
"""Time for the signal to arrive, for the last rank to end, and for the job to be requeued before the time limit."""

_SIGNAL = re.compile(r"(?:[A-Z]*:)?\w+(?:@(\d+))?")
_DEFAULT_SECONDS = 60
"""SLURM's default if `--signal` gives no time."""


@dataclass(frozen=True)
class LeadTime:
    """The time that the warning gives, and the time that the run has needed."""

    lead_seconds: float
    """From the warning to the time limit."""
    round_seconds: float
    """The longest round, evaluations included: the flag is checked at the end of a round."""
    save_seconds: float
    """Time to write a checkpoint of every active language."""

    @property
    def needed_seconds(self) -> int:
        return ceil(self.round_seconds + self.save_seconds + OVERHEAD_SECONDS)

    @property
    def is_enough(self) -> bool:
        return self.lead_seconds >= self.needed_seconds

    @property
    def found(self) -> str:
        """The times, and whether the warning comes early enough."""
        measured = f"a round takes up to {self.round_seconds:.0f} s and saving {self.save_seconds:.0f} s"
        verdict = "enough" if self.is_enough else "work since the last checkpoints may be lost"
        return f"the warning comes {self.lead_seconds:.0f} s before the end; {measured}: {verdict}"

    @property
    def fix(self) -> str | None:
        """How to get an earlier warning; None if there is no need."""
        if self.is_enough:
            return None
        return (
            f"set #SBATCH --signal=B:USR1@{self.needed_seconds} or more in the script, or use `mms-dist submit … "
            f"--sbatch signal=B:USR1@{self.needed_seconds}` (an option that you gave to sbatch itself is not visible "
            "here)"
        )

    @property
    def advice(self) -> str:
        """`found` and `fix` in one line."""
        return self.found if self.fix is None else f"{self.found}; {self.fix}"


def signal_of_job(script: str, environment: Mapping[str, str]) -> str:
    """Return the `--signal` of a job from inside it; empty if there is none.

    A job sees its script's text and sbatch's variables, which override it, but not sbatch's command line. So
    `mms-dist submit` sets the variable too.
    """
    return environment.get("SBATCH_SIGNAL") or _signal_of_script(script)


def _signal_of_script(script: str) -> str:
    signal = ""
    for line in script.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break  # sbatch looks for options only before the first command
        if line.startswith("#SBATCH"):
            words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
            for word, following in pairwise([*words, ""]):
                name, equals, value = word.partition("=")
                if name == "--signal":
                    signal = value if equals else following
    return signal


def lead_seconds_of(signal: str) -> int | None:
    """Return the seconds before the time limit in a `--signal` such as `B:USR1@600`; None if it is empty or invalid."""
    match = _SIGNAL.fullmatch(signal)
    if match is None:
        return None
    return int(match[1]) if match[1] else _DEFAULT_SECONDS


def measured_lead_time(run_directory: Path, lead_seconds: float) -> LeadTime | None:
    """Return the times measured in the run's last attempt; None if nothing was measured."""
    metrics = read_metrics(run_directory)
    if metrics is None:
        return None
    return LeadTime(lead_seconds, metrics.longest_round_seconds, metrics.longest_save_seconds)
