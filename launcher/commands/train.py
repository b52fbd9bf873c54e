"""`mms-dist train`: train every language of a configuration, or resume."""

import argparse
import contextlib
import os
from functools import partial
from pathlib import Path
from typing import Any

from launcher.console import print_error
from mms_dist.errors import ExitCode, MmsDistError, PeerError, StoppedEarly

ACCEPTS_SETTINGS = True

EPILOG = """\
Override any setting of the configuration by its dotted name:
  mms-dist train --config configs/train/mms-300m.yaml --optim.lr 5e-4 --languages.ron.optim.steps 2000
  mms-dist train --config mms-300m --augment.speed 0.9,1.0,1.1         play every utterance at one of these speeds

After an interruption, run the same command again to resume. Ctrl-C (or SIGTERM, SIGUSR1) saves every language at the
end of the round and exits with 75; a second Ctrl-C ends immediately. Before the first round there is nothing to save,
and the command always ends within five seconds.

To train on several processes and machines with the same settings and the same result (configs/accelerate/):
  accelerate launch --config_file configs/accelerate/one_node_8gpu.yaml -m launcher.train --config FILE

exit status: 0 finished · 1 failed · 2 the configuration, data or base needs a fix · 65 incomplete: languages are in
quarantine or could not be scored (`mms-dist report RUN` shows which and why); fix that before you start again · 70
automatic restarts make no progress · 75 stopped, resumable · 130 ended immediately by a second Ctrl-C. Launchers hide
the exit status; RUN/status.json records it."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train all languages, or resume",
        description="Train the adapters of all languages on one frozen base.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration file, see configs/train/")
    parser.add_argument(
        "--dry-run", action="store_true", help="check and print the configuration and shards, then stop"
    )


def run(args: argparse.Namespace) -> int:
    from mms_dist.config import load_config

    config = load_config(args.config, args.settings)
    if args.dry_run:
        return _dry_run(config)
    from launcher.signals import STOPPED_EARLY, StopFlag
    from launcher.world import check_world
    from mms_dist.distributed.launch_environment import check_launch_variables

    check_launch_variables(os.environ)
    check_world(os.environ, config.comm.processes)
    note = partial(_note_early_end, Path(config.run.directory))
    with StopFlag(note) as stop:
        try:
            from mms_dist.training.run import (
                train,
            )  # importing torch takes long on a cold file system, and a signal may come

            outcome = train(config, stop_requested=stop.is_set, at_first_round=stop.first_round)
        except StoppedEarly:
            note(ExitCode.PREEMPTED)
            print_error(STOPPED_EARLY.decode().rstrip())
            return ExitCode.PREEMPTED
        except PeerError as error:
            if error.exit_code == ExitCode.PREEMPTED:  # another rank was stopped, maybe before the run was opened
                note(ExitCode.PREEMPTED)
            raise
    return _exit_status(outcome, Path(config.run.directory))


def _exit_status(outcome: str, directory: Path) -> int:
    """Return the exit status; for a run that ended incomplete or failed, rank 0 prints the reason."""
    from mms_dist.errors import ExitCode
    from mms_dist.run_directory.status_file import RunState, read_status

    if outcome not in (RunState.INCOMPLETE, RunState.FAILED):
        return 0 if outcome == "finished" else ExitCode.PREEMPTED
    if _is_first():
        status = read_status(directory)
        print_error(f"error: {status.reason if status else outcome}")
    return ExitCode.INCOMPLETE


def _is_first() -> bool:
    """Return whether this rank writes the run's status."""
    return os.environ.get("RANK", "0") in ("", "0")


def _note_early_end(directory: Path, status: int) -> None:
    """Record the early end in the run's status, on the rank that writes it."""
    from mms_dist.run_directory.status_file import note_stopped

    if _is_first():
        with contextlib.suppress(MmsDistError):  # an error must not keep the process from ending
            note_stopped(directory, exit_code=status, processes=int(os.environ.get("WORLD_SIZE") or 1))


def _dry_run(config: Any) -> int:
    from mms_dist.data.language_balance import balance_lines
    from mms_dist.data.language_summaries import summarise_languages

    _, summaries = summarise_languages(config)
    for entry in summaries:
        print(
            f"{entry.language:<24} {entry.utterances:>8,} utterances  {entry.seconds / 3600:8.2f} h  "
            f"{entry.vocabulary_size:>4} tokens  {entry.steps:>6,} steps  {entry.left_out} left out"
        )
    for line in balance_lines((entry.language, entry.balance) for entry in summaries):
        print(f"balance   {line}")
    print(f"\n{config.to_yaml()}", end="")
    return 0
