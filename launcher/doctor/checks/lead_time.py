"""Does SLURM's warning come early enough for a round and the saving after it?"""

import subprocess
from pathlib import Path

from launcher.doctor.context import Context
from launcher.doctor.finding import Notes
from launcher.slurm.lead_time import lead_of_script, measured_lead_time

SECONDS = 20.0


def look(context: Context, notes: Notes) -> None:
    """Compares the job's `--signal` with what the run's last attempt was seen to need."""
    if context.config is None:
        notes.skip("needs the configuration")
        return
    submitted, job = context.site.script, context.site.job
    if submitted is None and job is None:
        notes.skip("no training job of SLURM to look at")
        return
    script = submitted or _script_of(job or "")
    if script is None:
        notes.skip(f"SLURM shows no script of job {job} (salloc has none): whether it warns before the end is unknown")
        return
    lead_seconds = lead_of_script(script)
    if lead_seconds is None and submitted is None:  # the job around us is there to look; another is to train
        notes.skip(f"the script of job {job} asks for no warning before its time is over: there is none to measure")
        return
    if lead_seconds is None:
        notes.warn(
            "the job's script asks for no warning before its time is over: what comes after the last checkpoints is "
            "lost then",
            "start from slurm/train.sbatch, which has #SBATCH --signal=B:USR1@…",
        )
        return
    lead = measured_lead_time(Path(context.config.run.directory), lead_seconds)
    if lead is None:
        notes.skip(f"the warning comes {lead_seconds} s before the end; a round and the saving are yet to be measured")
    elif lead.is_enough:
        notes.ok(lead.advice)
    else:
        notes.fail(*_told(lead.advice))


def _told(advice: str) -> tuple[str, str]:
    found, _, fix = advice.rpartition(". ")
    return found, fix


def _script_of(job: str) -> str | None:
    """The text of a job's batch script; None if it has none (salloc, srun)."""
    command = ["scontrol", "write", "batch_script", job, "-"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 and result.stdout else None
