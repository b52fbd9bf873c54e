"""`mms-dist demo`: the whole path on the recordings that ship with the project, by the commands one would type."""

import argparse
import os
import shlex
import time
from pathlib import Path
from typing import Any

from launcher.arguments import count
from launcher.processes import run_launcher, train_command

EPILOG = """\
Real recordings in English, Spanish, French, Italian and Russian are built into shards; one adapter and head for each
language are trained together on the shipped base, which has never heard any of the five; the held-out test sentences
are transcribed; and the adapters are exported for Hugging Face. A few minutes on two CPU cores. Run it again and every
step finds its work done."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="the whole path on the recordings that ship with the project",
        description="Build shards, train five languages at once, evaluate and export.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--directory", default="demo-run", help="where shards and the run go (default: %(default)s)")
    parser.add_argument(
        "--steps", metavar="N", type=count, help="optimizer steps a language (default: those of the demo's config)"
    )
    parser.add_argument(
        "--processes", metavar="N", type=count, default=1, help="processes that train together (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    from launcher.cli import main

    began = time.monotonic()
    directory = Path(args.directory)
    for command in commands(directory, args.steps, args.processes):
        print(f"\n$ {shlex.join(command)}", flush=True)
        program, *arguments = command
        status = main(arguments) if program == "mms-dist" else _launch(command, directory / "run")
        if status != 0:
            return status
    print(f"\nAll of it took {time.monotonic() - began:.0f} s. See what every language learned:")
    print(f"  mms-dist report {shlex.quote(str(directory / 'run'))}")
    return 0


def commands(directory: Path, steps: int | None, processes: int) -> list[list[str]]:
    """The demo, as one would type it."""
    from mms_dist.config.places import literal
    from shards.demo import DEMO_MANIFEST

    config = Path(__file__).parent.parent / "demo.yaml"
    where, run_directory = str(directory / "shards"), str(directory / "run")
    settings = ["--config", str(config), "--run.directory", literal(run_directory), "--data.shards", literal(where)]
    if steps is not None:
        settings += ["--optim.steps", str(steps), "--optim.warmup_steps", str(steps // 10)]
    one = ["mms-dist", "train", *settings]
    return [
        ["mms-dist", "shards", "build", str(DEMO_MANIFEST), where],
        one if processes == 1 else train_command(processes, settings, os.environ),
        ["mms-dist", "eval", run_directory, "--split", "test"],
        ["mms-dist", "export", run_directory],
    ]


def _launch(command: list[str], run_directory: Path) -> int:
    """Train on several processes; the exit status is the training's own, which the launcher hides."""
    from mms_dist.training.attempts import RunState, read_status

    before = read_status(run_directory)
    status = run_launcher(command, os.environ)
    now = read_status(run_directory)
    if status == 0 or now is None or now == before or now.exit_code is None:
        return status  # the launcher's: the training has said nothing
    if now.state == RunState.PREEMPTED:
        print("\nstopped: every language is saved; the same command goes on from here (the trace is the launcher's)")
    return now.exit_code
