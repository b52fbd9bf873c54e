"""Handing a job to SLURM."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from launcher.slurm.site import PREFIX
from launcher.slurm.submission import Submission
from mms_dist.errors import ConfigError

SECONDS = 120.0


def sbatch(submission: Submission, environment: Mapping[str, str] | None = None) -> str:
    """Submit a job and return its number; its script stays beside its log, under that number.

    Raises:
        ConfigError: there is no sbatch, it refuses the job (in its words), or the log's folder cannot be written.
    """
    folder = submission.log_folder
    staged = folder / f".{submission.name}-{os.getpid()}.sbatch"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged.write_text(submission.text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write {staged}: {error.strerror}; make it writable, or choose another run.directory"
        ) from error
    try:
        job = _submit(staged, environment)
        staged.rename(folder / f"{submission.name}-{job}.sbatch")
        return job
    finally:
        staged.unlink(missing_ok=True)


def _submit(script: Path, environment: Mapping[str, str] | None) -> str:
    # Variables of sbatch in the environment would outrank what stands in the script, which has them already.
    environment = os.environ if environment is None else environment
    kept = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
    try:
        result = subprocess.run(
            ["sbatch", "--parsable", str(script)], env=kept, capture_output=True, text=True, timeout=SECONDS
        )
    except FileNotFoundError as error:
        raise ConfigError(
            "found no sbatch on PATH; submit where SLURM's commands are (a login node, perhaps after `module load "
            "slurm`), or print the script with --dry-run"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"sbatch has not answered for {SECONDS:g} s; look whether SLURM is well (`scontrol ping`), and whether the "
            "job is there all the same (`squeue --me`)"
        ) from error
    if result.returncode:
        words = result.stderr.strip() or f"exit status {result.returncode}"
        raise ConfigError(f"sbatch refuses the job: {words}\n`sinfo` shows what there is; --dry-run prints the script")
    job = result.stdout.strip().partition(";")[0]  # number;cluster
    if not job.isdigit():
        raise ConfigError(f"sbatch answered {result.stdout!r}, expected a job's number; look at `squeue --me`")
    return job
