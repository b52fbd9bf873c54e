"""Handing a job to SLURM."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from launcher.slurm.site import PREFIX
from launcher.slurm.submission import Submission
from launcher.slurm.submitted import note
from mms_dist.errors import ConfigError

SECONDS = 120.0
OF_THE_CLUSTER = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_UMASK", "SLURM_DEBUG_FLAGS", "SLURM_JWT")
"""What tells SLURM's commands where it is and who asks."""
FIX = "`sinfo` shows what there is; --nodes, --time and --sbatch OPTION=VALUE say what is asked for"


@dataclass(frozen=True)
class Start:
    """When and where SLURM would start a job, or why it would not as things stand."""

    is_in_sight: bool
    words: str


def foresee(submission: Submission, environment: Mapping[str, str] | None = None) -> Start:
    """What SLURM would do with the job if it were submitted now.

    SLURM has the same words for a job that asks for more machines than there are and for one that asks for machines
    which are down at the moment; it may take both, and let them wait.

    Raises:
        ConfigError: there is no sbatch.
    """
    answer = _run_sbatch(["--test-only"], submission.text, environment)
    words = "; ".join(line.removeprefix("sbatch: ") for line in answer.stderr.strip().splitlines())
    if answer.returncode:
        waits = "if sbatch takes it, it waits for that to change"
        return Start(False, f"as things stand it would not start this job: {words}; {waits}. {FIX}")
    return Start(True, re.sub(r"Job \d+ to start at", "would start it at", words))  # it is given another number


def sbatch(submission: Submission, environment: Mapping[str, str] | None = None) -> str:
    """Submit a job and return its number; its script stays in the folder of its log.

    Raises:
        ConfigError: there is no sbatch, it refuses the job (in its words), or that folder cannot be written.
    """
    now = datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    script = submission.log_folder / f"{submission.name}-{now}.sbatch"
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(submission.text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {script}: {error.strerror}", fix="make it writable, or choose another folder"
        ) from error
    try:
        job = _submit(script, environment)
    except ConfigError:
        script.unlink()
        raise
    note(script, submission, job)
    return job


def _submit(script: Path, environment: Mapping[str, str] | None) -> str:
    answer = _run_sbatch(["--parsable", str(script)], None, environment)
    if answer.returncode:
        words = answer.stderr.strip() or f"exit status {answer.returncode}"
        raise ConfigError(f"sbatch refuses the job: {words}", fix=f"{FIX}")
    # number;cluster, perhaps after lines in which a site greets its users
    numbers = re.findall(r"^(\d+)(?:;\S*)?$", answer.stdout, re.MULTILINE)
    if not numbers:
        raise ConfigError(f"sbatch answered {answer.stdout!r}, expected a job's number", fix="look at `squeue --me`")
    return str(numbers[-1])


def _run_sbatch(
    words: list[str], script: str | None, environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ if environment is None else environment
    kept = {name: value for name, value in environment.items() if not _misleads(name)}
    try:
        return subprocess.run(
            ["sbatch", *words], input=script, env=kept, capture_output=True, text=True, timeout=SECONDS
        )
    except FileNotFoundError as error:
        raise ConfigError(
            "found no sbatch on PATH",
            fix=(
                "submit where SLURM's commands are (a login node, perhaps after `module load "
                "slurm`), or print the script with --dry-run"
            ),
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"sbatch has not answered for {SECONDS:g} s",
            fix=(
                "look whether SLURM is well (`scontrol ping`), and whether the job is there all the same (`squeue "
                "--me`)"
            ),
        ) from error


def _misleads(variable: str) -> bool:
    """Variables of sbatch outrank what stands in the script, which has them already; and those of a job in which this
    is typed would be found in the new one, where it has none of that name."""
    return variable.startswith((PREFIX, "SLURM_")) and variable not in OF_THE_CLUSTER
