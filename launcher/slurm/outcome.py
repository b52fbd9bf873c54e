"""How one start of a job ended: the run's own status, or the problem that kept a machine from starting the run.

A machine leaves such a problem in the run directory, because the exit status of the job step cannot show it: as soon as
one machine ends with an error, srun kills the others and returns the highest status, which is that of a killed machine.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from launcher.cli import split_settings
from mms_dist.config import Config, load_config
from mms_dist.errors import ConfigError
from mms_dist.files import replace_text
from mms_dist.run_directory.status_file import Status, read_status


def parse_run_arguments(arguments: Sequence[str]) -> tuple[Path, Config]:
    """Return the run directory and the configuration for `CONFIG [--section.setting VALUE …]`.

    Raises:
        ConfigError: the arguments have another form, or the configuration is invalid.
    """
    settings, others = split_settings(arguments)
    if len(others) != 1 or others[0].startswith("-"):
        found = " ".join(arguments) or "nothing"
        raise ConfigError(
            f"found {found}, expected a configuration and settings: configs/train/mms-300m.yaml --optim.lr 5e-4"
        )
    config = load_config(others[0], settings)
    return Path(config.run.directory), config


def outcome_since(directory: Path, before: Status | None) -> Status | None:
    """Return the run's status if an attempt has started since the status was `before`; None if none has.

    Raises:
        TrainingError: the status cannot be read.
    """
    status = read_status(directory)
    if status is not None and status.job and status.job != os.environ.get("SLURM_JOB_ID", status.job):
        return None  # the status of another job that has the run
    if status is None or before is None:
        return status
    previous = (before.attempt, before.started, before.host, before.pid)
    return None if (status.attempt, status.started, status.host, status.pid) == previous else status


def write_refusal(directory: Path, reason: str) -> None:
    """Write the reason to the run directory; if several machines do, the last one counts.

    Raises:
        TrainingError: the file cannot be written.
    """
    replace_text(_path(directory), reason + "\n")


def pop_refusal(directory: Path) -> str | None:
    """Read and remove the reason that a machine of this job left; None if there is none."""
    try:
        reason = _path(directory).read_text(encoding="utf-8").strip()
        _path(directory).unlink()
    except FileNotFoundError:
        return None
    return reason


def _path(directory: Path) -> Path:
    return directory / f"refused-{os.environ['SLURM_JOB_ID']}.txt"
