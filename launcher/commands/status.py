"""`mms-dist status`: how a run is doing, on one screen, from the run's files alone."""

import argparse
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.slurm.job import Job
    from mms_dist.inspection.standing import Standing

EPILOG = """\
examples:
  mms-dist status runs/mms-300m
  watch --color mms-dist status runs/mms-300m
  mms-dist status runs/mms-300m --json | jq '.state, .eta_seconds'

The run may be going on, anywhere that shares its folder: nothing is written or locked there.
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
    from mms_dist.inspection.standing import read_standing
    from mms_dist.inspection.standing_view import show
    from mms_dist.monitor.console import standard_console

    standing, job = _with_its_job(read_standing(args.run))
    if args.json:
        values = standing.as_dict() | {"job": job.as_dict() if job else None}
        json.dump(values, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        lines = [("job", job.line)] if job else []
        lines += [("log", str(job.log or standing.logs))] if job else []
        show(standing, standard_console(), also=lines)
    return 0


def _with_its_job(standing: "Standing") -> "tuple[Standing, Job | None]":
    """What SLURM remembers of the job, which also knows whether a process on another machine can be there."""
    from launcher.slurm.job import find_job

    number = standing.status.job if standing.status else None
    job = find_job(number) if number else None
    if job is not None and not job.is_at_work and standing.state == "running":
        standing = replace(standing, alive=False)
    return standing, job
