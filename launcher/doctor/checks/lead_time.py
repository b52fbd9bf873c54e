"""Check that SLURM's warning leaves enough time to finish a round and save."""

import os
import subprocess
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Findings, failed, not_checked, ok, warning
from launcher.slurm.lead_time import lead_seconds_of, measured_lead_time, signal_of_job

SECONDS = 20.0


def check(context: Context) -> Findings:
    """Compare the job's `--signal` with the time that the run's last attempt needed."""
    if context.config is None:
        yield not_checked("needs the configuration")
        return
    signal, job = context.machines.signal, context.machines.job
    is_submission = signal is not None
    if signal is None and job is None:
        yield not_checked("there is no SLURM training job to check")
        return
    if signal is None:
        script = _script_of(job or "")
        if script is None:
            yield not_checked(
                f"job {job} has no batch script (as with salloc): whether SLURM warns before its end is unknown"
            )
            return
        signal = signal_of_job(script, os.environ)
    lead_seconds = lead_seconds_of(signal)
    if lead_seconds is None and not is_submission:  # this job only runs the checks; another one will train
        yield not_checked(
            f"the script of job {job} requests no warning before the time limit: there is nothing to compare"
        )
        return
    if lead_seconds is None:
        yield warning(
            "the job's script requests no warning before the time limit: work since the last checkpoints will be lost",
            "base the script on slurm/train.sbatch, which has #SBATCH --signal=B:USR1@…",
        )
        return
    lead = measured_lead_time(Path(context.config.run.directory), lead_seconds)
    if lead is None:
        yield not_checked(
            f"the warning comes {lead_seconds} s before the end; rounds and saves have not been measured yet"
        )
    elif lead.is_enough:
        yield ok(lead.found)
    else:
        yield failed(lead.found, lead.fix)


def _script_of(job: str) -> str | None:
    """Return the text of a job's batch script; None if it has none (salloc, srun)."""
    command = ["scontrol", "write", "batch_script", job, "-"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 and result.stdout else None
