"""Whether SLURM's warning before the end of a job's time leaves enough of it to finish a round and save."""

import re
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from launcher.slurm.script import options_of
from mms_dist.errors import ConfigError

OVERHEAD_SECONDS = 30.0
"""For the signal to arrive, for the last rank to end, and for the job to be requeued before its time is over."""

_SIGNAL = re.compile(r"(?:[A-Z]*:)?\w+(?:@(\d+))?")
_DEFAULT_SECONDS = 60
"""SLURM's, where `--signal` names no time."""


@dataclass(frozen=True)
class LeadTime:
    """What is given, and what the run has been seen to need."""

    lead_seconds: float
    """From the warning to the end."""
    round_seconds: float
    """The longest round, evaluations included: the signal is noticed at a round's end."""
    save_seconds: float
    """Writing a checkpoint of every active language."""

    @property
    def needed_seconds(self) -> int:
        return ceil(self.round_seconds + self.save_seconds + OVERHEAD_SECONDS)

    @property
    def is_enough(self) -> bool:
        return self.lead_seconds >= self.needed_seconds

    @property
    def advice(self) -> str:
        """In words, with the fix if there is one to make."""
        measured = f"a round takes up to {self.round_seconds:.0f} s and saving {self.save_seconds:.0f} s"
        if self.is_enough:
            return f"the warning comes {self.lead_seconds:.0f} s before the end; {measured}: enough"
        return (
            f"the warning comes {self.lead_seconds:.0f} s before the end, and {measured}: what comes after the last "
            f"checkpoints may be lost. Set #SBATCH --signal=B:USR1@{self.needed_seconds} or more in the "
            f"script, or `mms-dist submit … --sbatch signal=B:USR1@{self.needed_seconds}` (an option on sbatch's own "
            "command line is not seen here)"
        )


def lead_of_script(script: str) -> int | None:
    """Seconds of the `#SBATCH --signal` of a batch script's text; None if it has none that can be read."""
    try:
        match = _SIGNAL.fullmatch(options_of(script).get("signal", ""))
    except ConfigError:  # a script of somebody else's, with a line that sbatch may understand
        return None
    if match is None:
        return None
    return int(match[1]) if match[1] else _DEFAULT_SECONDS


def measured_lead_time(run_directory: Path, lead_seconds: float) -> LeadTime | None:
    """By what the run's last attempt was seen to need; None if none has come so far as to be measured."""
    from mms_dist.monitor.pace import read_pace  # imports TensorBoard's reader, and help must appear at once

    pace = read_pace(run_directory)
    if pace is None:
        return None
    return LeadTime(lead_seconds, pace.longest_round_seconds, pace.longest_save_seconds)
