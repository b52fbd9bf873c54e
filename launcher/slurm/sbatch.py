"""Submit jobs to SLURM."""

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
"""Variables that SLURM's commands need to find and contact the cluster."""
FIX = "`sinfo` shows what is available; change the request with --nodes, --time and --sbatch OPTION=VALUE"


@dataclass(frozen=True)
class Start:
    """When and where SLURM would start a job, or why it would not start it at present."""

    is_possible: bool
    message: str


def predict_start(submission: Submission, environment: Mapping[str, str] | None = None) -> Start:
    """Ask SLURM what it would do with the job if it were submitted now.

    SLURM gives the same message for a job that requests more machines than exist and for one that requests machines
    that are down at the moment. It may accept both, and keep them pending.

    Raises:
        ConfigError: there is no sbatch.
    """
    answer = _run_sbatch(["--test-only"], submission.text, environment)
    message = "; ".join(line.removeprefix("sbatch: ") for line in answer.stderr.strip().splitlines())
    if answer.returncode:
        waits = "if sbatch accepts the job, it stays pending until that changes"
        return Start(False, f"it would not start this job at present: {message}; {waits}. {FIX}")
    return Start(True, re.sub(r"Job \d+ to start at", "would start it at", message))  # the job will get another number


def sbatch(submission: Submission, environment: Mapping[str, str] | None = None) -> str:
    """Submit a job and return its number. Its script stays in the folder of its log.

    Raises:
        ConfigError: there is no sbatch, sbatch rejects the job, or that folder cannot be written.
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
        message = answer.stderr.strip() or f"exit status {answer.returncode}"
        raise ConfigError(f"sbatch rejects the job: {message}", fix=FIX)
    # number;cluster, perhaps after lines with a site's greeting
    numbers = re.findall(r"^(\d+)(?:;\S*)?$", answer.stdout, re.MULTILINE)
    if not numbers:
        raise ConfigError(f"sbatch printed {answer.stdout!r}, expected a job number", fix="check `squeue --me`")
    return str(numbers[-1])


def _run_sbatch(
    arguments: list[str], script: str | None, environment: Mapping[str, str] | None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ if environment is None else environment
    kept = {name: value for name, value in environment.items() if not _overrides_script(name)}
    try:
        return subprocess.run(
            ["sbatch", *arguments], input=script, env=kept, capture_output=True, text=True, timeout=SECONDS
        )
    except FileNotFoundError as error:
        raise ConfigError(
            "found no sbatch on PATH",
            fix="submit on a machine with SLURM's commands (a login node, perhaps after `module load slurm`), or print "
            "the script with --dry-run",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"sbatch did not respond within {SECONDS:g} s",
            fix="check whether SLURM is up (`scontrol ping`), and whether the job was submitted anyway (`squeue --me`)",
        ) from error


def _overrides_script(variable: str) -> bool:
    """Return whether a variable would change the job.

    sbatch's variables override the options in the script, which already includes them. SLURM's variables of a
    surrounding job would be inherited by the new one.
    """
    return variable.startswith((PREFIX, "SLURM_")) and variable not in OF_THE_CLUSTER
