"""Called by the batch script before a run starts and after it has ended.

    python -m launcher.slurm.batch begin --script TEXT CONFIG [--section.setting VALUE …]
    python -m launcher.slurm.batch end --before JSON [--warned] CONFIG [--section.setting VALUE …]

`begin` prints the run's current status, which is passed to `end`, and information about the job on standard error.
`end` decides what happens to the job. Its exit status: 0 done, 75 requeue, anything else give up (65: some languages
are in quarantine).

TEXT is the text of the batch script and not its path: slurmd keeps the script in a folder that a container may not see.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from launcher.cli import split_settings
from launcher.console import print_log
from launcher.slurm.environment import ClusterPlace
from launcher.slurm.lead_time import lead_seconds_of, measured_lead_time, signal_of_job
from launcher.slurm.outcome import outcome_since, parse_run_arguments, pop_refusal
from launcher.slurm.requeue import Action, JobProgress, decide, read_progress, write_progress
from mms_dist.errors import MmsDistError, TrainingError
from mms_dist.run_directory.status_file import Status, read_status


def main(arguments: Sequence[str]) -> int:
    """Run `begin` or `end`."""
    settings, others = split_settings(arguments)
    parser = argparse.ArgumentParser(prog="launcher.slurm.batch", description=__doc__)
    parser.add_argument("when", choices=("begin", "end"))
    parser.add_argument("config")
    parser.add_argument("--script", default="")
    parser.add_argument("--before", default="null")
    parser.add_argument("--warned", action="store_true")
    args = parser.parse_args(others)
    try:
        place = ClusterPlace.of(os.environ)
        directory, config = parse_run_arguments([args.config, *settings])
        if args.when == "begin":
            return _begin(place, directory, args.script)
        before = json.loads(args.before.splitlines()[-1])  # a container may print a greeting first
        earlier = Status(**before) if before else None
        return _end(place, directory, earlier, warned=args.warned, allowed=config.run.stalled_restarts)
    except MmsDistError as error:
        print_log(f"error: {error}")
        return error.exit_code


def _begin(place: ClusterPlace, directory: Path, script: str) -> int:
    restarts = f", restarted {place.restarts} times" if place.restarts else ""
    where = f"{place.machines} machines ({' '.join(place.hosts)}), rendezvous at {place.host}:{place.port}"
    print_log(f"job {place.job}{restarts}, on {where if place.machines > 1 else place.host}; run {directory}")
    lead_seconds = lead_seconds_of(signal_of_job(script, os.environ))
    if lead_seconds is None:
        print_log(
            "it is unknown how long before the time limit SLURM warns the job: found no #SBATCH --signal=… in the "
            "batch script, expected one such as --signal=B:USR1@600"
        )
    elif lead := measured_lead_time(directory, lead_seconds):
        print_log(lead.advice)
    pop_refusal(directory)  # discard one from an earlier start of this job
    status = read_status(directory)
    print(json.dumps(asdict(status) if status else None))
    return 0


def _end(place: ClusterPlace, directory: Path, before: Status | None, *, warned: bool, allowed: int) -> int:
    outcome = outcome_since(directory, before)
    progress = JobProgress.after(
        read_progress(directory, place.job),
        job=place.job,
        restarts=place.restarts,
        # Steps from before this start count too: SLURM may have requeued the job without calling this.
        steps=max((each.steps or 0 for each in (before, outcome) if each), default=0),
    )
    decision = decide(
        outcome,
        warned=warned,
        refusal=pop_refusal(directory),
        restarts_without_step=progress.restarts_without_step(place.restarts),
        allowed=allowed,
    )
    try:
        write_progress(directory, progress)
    except TrainingError as error:
        if decision.action is Action.REQUEUE and outcome is None:
            raise  # the run directory is not writable, which needs manual action
        print_log(f"could not save the count of restarts: {error}")
    print_log(f"{decision.action.value}: {decision.reason}")
    return decision.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
