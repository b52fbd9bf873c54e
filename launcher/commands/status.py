"""`mms-dist status`: how a run is doing, on one screen, from the run's files and SLURM's word on its job."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.slurm.job import Job, Trace
    from launcher.slurm.submitted import Submitted
    from mms_dist.inspection.run_status import RunStatus

OVER = ("finished", "incomplete", "failed", "stalled")
"""States that a job which SLURM has forgotten explains no further."""

EPILOG = """\
examples:
  mms-dist status runs/mms-300m
  watch --color mms-dist status runs/mms-300m
  mms-dist status runs/mms-300m --json | jq '.state, .eta_seconds'

The run may be going on, anywhere that shares its folder, or its job (`mms-dist submit`) may be waiting to begin it:
nothing is written or locked there.
`mms-dist report` has a line and a curve for every language."""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "status",
        help="tell how a run is doing: state, languages, rate, time left, checkpoints, restarts",
        description="Tell how a run is doing, while it goes on, waits to go on, or is over.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="the run's folder (run.directory of its configuration)")
    parser.add_argument("--json", action="store_true", help="print plain values")


def run(args: argparse.Namespace) -> int:
    """Print where the run stands."""
    from launcher.slurm.submitted import submitted_jobs
    from mms_dist.inspection.run_status import read_standing
    from mms_dist.inspection.run_status_view import show
    from mms_dist.monitor.console import standard_console

    submitted = submitted_jobs(Path(args.run))
    run_status, job = _with_its_job(read_standing(args.run, awaited=bool(submitted)), submitted)
    if args.json:
        values = run_status.as_dict() | {"job": job.as_dict() if job else None}
        json.dump(values, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        show(run_status, standard_console(), also=_lines(run_status, job))
    return 0


def _with_its_job(run_status: "RunStatus", submitted: "Sequence[Submitted]") -> "tuple[RunStatus, Job | None]":
    """What SLURM knows of the job that has the run, or is to have it next; and so whether a process on another machine
    can be there."""
    from launcher.slurm.job import find_job

    trace, last = _trace(run_status), submitted[-1] if submitted else None
    job = find_job(trace) if trace else None
    if job is not None and job.is_known and not job.is_at_work and run_status.state == "running":
        run_status = replace(run_status, alive=False)
    if last is not None and (trace is None or (last.trace.number != trace.number and last.trace.seen > trace.seen)):
        later = find_job(last.trace)
        if job is None or not (job.is_at_work or (job.is_waiting and not later.is_at_work)):
            job = later if later.log else replace(later, log=last.log)
    return run_status, job


def _trace(run_status: "RunStatus") -> "Trace | None":
    """Of the job that the last attempt was made in."""
    from launcher.slurm.job import Trace

    status = run_status.status
    if status is None or status.job is None:
        return None
    return Trace(status.job, datetime.fromisoformat(status.started))


def _lines(run_status: "RunStatus", job: "Job | None") -> list[tuple[str, str]]:
    if job is None or (run_status.state in OVER and not job.is_known):
        return []
    log = job.log or run_status.logs
    line = job.line if run_status.begun else f"{job.line}; {_before_the_run(job, log)}"
    return [("job", line), *([("log", str(log))] if log else [])]


def _before_the_run(job: "Job", log: "Path | None") -> str:
    """Where a run stands that has not begun."""
    if job.is_at_work:
        return "it has not come so far as to begin the run"
    if job.is_known and not job.has_ended:
        return "the run waits for it"
    why = ": its log says why" if log is not None and log.is_file() else ", and has printed nothing"
    return f"{'it' if job.has_ended else 'if it has ended, it'} ended before the run had begun{why}"
