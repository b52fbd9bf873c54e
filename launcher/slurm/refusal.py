"""Pass to the batch script a problem that a machine found and that needs manual action before training can start.

The exit status of the job step cannot show it: as soon as one machine ends with an error, srun kills the others and
returns the highest status, which is that of a killed machine.
"""

import os
from pathlib import Path

from mms_dist.files import replace_text


def leave_refusal(directory: Path, reason: str) -> None:
    """Write the reason to the run directory; if several machines do, the last one counts.

    Raises:
        TrainingError: the file cannot be written.
    """
    replace_text(_path(directory), reason + "\n")


def take_refusal(directory: Path) -> str | None:
    """Read and remove the reason that a machine of this job left; None if there is none."""
    try:
        reason = _path(directory).read_text(encoding="utf-8").strip()
        _path(directory).unlink()
    except FileNotFoundError:
        return None
    return reason


def _path(directory: Path) -> Path:
    return directory / f"refused-{os.environ['SLURM_JOB_ID']}.txt"
