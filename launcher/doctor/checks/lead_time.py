"""Check that SLURM's warning leaves enough time to finish a round and save."""

import subprocess
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from launcher.slurm.lead_time import lead_of_script, measured_lead_time

SECONDS = 20.0


def look(context: Context, notes: Notes) -> None:
    """Compare the job's `--signal` with the time that the run's last attempt needed."""
    if context.config is None:
        notes.skip("needs the configuration")
        return
    submitted, job = context.site.script, context.site.job
    if submitted is None and job is None:
        notes.skip("there is no SLURM training job to check")
        return
    script = submitted or _script_of(job or "")
    if script is None:
        notes.skip(f"job {job} has no batch script (as with salloc): whether SLURM warns before its end is unknown")
        return
    lead_seconds = lead_of_script(script)
    if lead_seconds is None and submitted is None:  # this job only runs the checks; another one will train
        notes.skip(f"the script of job {job} requests no warning before the time limit: there is nothing to compare")
        return
    if lead_seconds is None:
        notes.warn(
            "the job's script requests no warning before the time limit: work since the last checkpoints will be lost",
            "base the script on slurm/train.sbatch, which has #SBATCH --signal=B:USR1@…",
        )
        return
    lead = measured_lead_time(Path(context.config.run.directory), lead_seconds)
    if lead is None:
        notes.skip(f"the warning comes {lead_seconds} s before the end; rounds and saves have not been measured yet")
    elif lead.is_enough:
        notes.ok(lead.found)
    else:
        notes.fail(lead.found, lead.fix)


def _script_of(job: str) -> str | None:
    """Return the text of a job's batch script; None if it has none (salloc, srun)."""
    command = ["scontrol", "write", "batch_script", job, "-"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 and result.stdout else None
