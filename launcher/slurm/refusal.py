"""What a machine finds that a person has to fix before training can begin, for the batch script to know of it.

The status of the job's step does not say it: as soon as one machine has ended with its own, srun ends the others, and
says the highest of all, which is that of a killed one.
"""

import os
from pathlib import Path

from mms_dist.files import replace_text


def leave_refusal(directory: Path, reason: str) -> None:
    """Put it into the run directory; of several machines the last has its say.

    Raises:
        TrainingError: it cannot be written there.
    """
    replace_text(_path(directory), reason + "\n")


def take_refusal(directory: Path) -> str | None:
    """What was left by a machine of this job, and is now taken away; None if nothing was."""
    try:
        reason = _path(directory).read_text(encoding="utf-8").strip()
        _path(directory).unlink()
    except FileNotFoundError:
        return None
    return reason


def _path(directory: Path) -> Path:
    return directory / f"refused-{os.environ['SLURM_JOB_ID']}.txt"
