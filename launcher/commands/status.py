"""`mms-dist status`: show a run's status on one screen, from the run's files and SLURM's view of its job."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.console import print_json

if TYPE_CHECKING:
    from launcher.slurm.job import Job, JobRecord, Submitted
    from mms_dist.monitor.run_status import RunStatus

OVER = ("finished", "incomplete", "failed", "stalled")
"""Final states. For these, a job that SLURM has forgotten adds nothing."""

EPILOG = """\
examples:
  mms-dist status runs/mms-300m
  watch --color mms-dist status runs/mms-300m
  mms-dist status runs/mms-300m --json | jq '.state, .eta_seconds'

The run may be in progress on any machine that shares its directory, or its job (`mms-dist submit`) may still be queued.
Nothing in the directory is written or locked.
`mms-dist report` shows every language, with learning curves."""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "status",
        help="show a run's status: state, languages, speed, time left, checkpoints, restarts",
        description="Show the status of a run that is queued, running, interrupted or finished.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="run directory (run.directory in the configuration)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the run's status."""
    from launcher.slurm.job import submitted_jobs
    from mms_dist.config.load import configured_steps
    from mms_dist.monitor.console import standard_console
    from mms_dist.monitor.run_status import read_run_status
    from mms_dist.monitor.run_status_view import show_run_status
    from shards.display.current_work import at_work

    with at_work(f"reading {args.run}") as work:
        submitted = submitted_jobs(Path(args.run))
        run_status = read_run_status(args.run, steps_of=configured_steps(args.run), awaited=bool(submitted))
        work.describe("asking SLURM for the job")
        run_status, job = _with_job(run_status, submitted)
    if args.json:
        values = run_status.as_dict() | {"job": job.as_dict() if job else None}
        print_json(values)
    else:
        show_run_status(run_status, standard_console(), also=_lines(run_status, job))
    return 0


def _with_job(run_status: "RunStatus", submitted: "Sequence[Submitted]") -> "tuple[RunStatus, Job | None]":
    """Add what SLURM knows of the job that trains the run or will train it next.

    This also shows whether a process on another machine can still be alive.
    """
    from launcher.slurm.job import find_job

    record, last = _job_record(run_status), submitted[-1] if submitted else None
    job = find_job(record) if record else None
    if job is not None and job.is_known and not job.is_at_work and run_status.state == "running":
        run_status = replace(run_status, alive=False)
    if last is not None and (
        record is None or (last.record.number != record.number and last.record.seen > record.seen)
    ):
        later = find_job(last.record)
        if job is None or not (job.is_at_work or (job.is_waiting and not later.is_at_work)):
            job = later if later.log else replace(later, log=last.log)
    return run_status, job


def _job_record(run_status: "RunStatus") -> "JobRecord | None":
    """Return the record of the job of the last attempt."""
    from launcher.slurm.job import JobRecord

    status = run_status.status
    if status is None or status.job is None:
        return None
    return JobRecord(status.job, datetime.fromisoformat(status.started))


def _lines(run_status: "RunStatus", job: "Job | None") -> list[tuple[str, str]]:
    if job is None or (run_status.state in OVER and not job.is_known):
        return []
    log = job.log or run_status.logs
    line = job.line if run_status.begun else f"{job.line}; {_before_the_run(job, log)}"
    return [("job", line), *([("log", str(log))] if log else [])]


def _before_the_run(job: "Job", log: "Path | None") -> str:
    """Describe the job of a run that has not started."""
    if job.is_at_work:
        return "it has not started the run yet"
    if job.is_known and not job.has_ended:
        return "the run waits for it"
    why = ": its log says why" if log is not None and log.is_file() else ", and it printed nothing"
    return f"{'it' if job.has_ended else 'if it has ended, it'} ended before the run started{why}"
