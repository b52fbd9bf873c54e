"""`mms-dist submit`: check a job and submit it to a SLURM cluster."""

import argparse
import getpass
import os
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import count, positive
from launcher.console import print_error
from launcher.slurm.submission import ARRAYS, SCRIPTS
from mms_dist.errors import ConfigError, ExitCode
from mms_dist.run_directory.paths import RunPaths

if TYPE_CHECKING:
    from rich.console import Console

    from launcher.slurm.sbatch import JobRequest
    from launcher.slurm.submission import JobTarget, Submission

PORT = 6006
ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Submit a script from slurm/ with sbatch, and print how to follow the job. Training and debug jobs get a preflight check
first, and for training the plan is shown. Options of sbatch given here override the settings of the cluster in
slurm/site.sh, which override the #SBATCH lines of the script. The command is saved next to the job's log as
RUN/logs/SCRIPT.sh (for shards SHARDS/logs/SCRIPT.sh, for transcribe that of --to); run that file with bash to submit
the same job again.
Run this command in a clone of the repository, or in a folder that `mms-dist init` has filled."""

EPILOG = """\
examples:
  mms-dist submit configs/train/mms-300m.yaml --nodes 4 --gpus-per-node 8 --dry-run
  mms-dist submit configs/train/mms-300m.yaml --nodes 4 --time 8:00:00 --optim.lr 5e-4
  mms-dist submit configs/train/mms-300m.yaml --script debug --nodes 4          check before the first long job
  mms-dist submit recordings.tsv corpus/ --script shards --tasks 16 --options="--max-seconds 20"
  mms-dist submit runs/mms-300m --script eval --options="--split dev"
  mms-dist submit exported/ --script transcribe --tasks 8 --options="--list talks.tsv --to texts/"
  mms-dist submit configs/train/mms-300m.yaml --sbatch partition=short --sbatch mail-type=END

exit status: 0 submitted, or printed with --dry-run · 1 the preflight check failed · 2 invalid arguments, no sbatch, or
sbatch rejects the job"""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "submit",
        help="submit a job to SLURM: plan, preflight, sbatch",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        metavar="CONFIG",
        nargs="+",
        help="configuration file; RUN for eval, SOURCE SHARDS for shards, MODEL and perhaps AUDIO for transcribe",
    )
    parser.add_argument("--script", choices=SCRIPTS, default="train", help="script from slurm/ (default: train)")
    parser.add_argument("--nodes", metavar="N", type=count, help="machines (default: as in the script, 1)")
    devices = parser.add_mutually_exclusive_group()
    devices.add_argument(
        "--gpus-per-node",
        metavar="G",
        type=count,
        help="GPUs per machine, with one process each (default: as in slurm/site.sh)",
    )
    devices.add_argument(
        "--processes-per-node", metavar="P", type=count, help="processes per machine without GPUs (default: 1)"
    )
    parser.add_argument("--time", metavar="T", help="time limit of each start, in SLURM's format: 8:00:00, 2-00:00:00")
    parser.add_argument(
        "--tasks",
        metavar="N",
        type=count,
        help="tasks of the job array: for shards each builds a group of languages, for transcribe each does a share of "
        "the recordings",
    )
    parser.add_argument(
        "--options",
        metavar='="…"',
        default="",
        help="options for `mms-dist shards build`, `eval` or `transcribe`, quoted and after =",
    )
    parser.add_argument(
        "--sbatch",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        help="any other sbatch option, by its long name; OPTION alone sets a flag (such as oversubscribe on shared "
        "machines, instead of the script's --exclusive); repeatable",
    )
    parser.add_argument(
        "--speed", metavar="X", type=positive, help="speed of a process for the plan, in seconds of audio per second"
    )
    parser.add_argument("--memory-gib", metavar="GIB", type=positive, help="device memory of a process, for the plan")
    parser.add_argument("--no-preflight", action="store_true", help="submit without the preflight check")
    parser.add_argument("--dry-run", action="store_true", help="print the command, but submit nothing")


def run(args: argparse.Namespace) -> int:
    """Prepare the job, run the preflight check, and submit."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from launcher.slurm.sbatch import submit
    from launcher.slurm.submission import parse_target, prepare

    options = _script_options(args.script, args.options)
    target = parse_target(args.script, args.what, args.settings, options)
    submission = prepare(
        args.script,
        [*args.what, *args.settings, *options],
        home=Path.cwd(),
        folder=target.folder,
        flags=_sbatch_flags(args),
        environment=os.environ,
    )
    passed = args.no_preflight or _preflight(args, target, submission)
    if args.dry_run:
        sys.stdout.write(submission.text)
        return ExitCode.DONE if passed else ExitCode.FAILED
    if not passed:
        print_error("not submitted: fix the failed checks, or submit anyway with --no-preflight")
        return ExitCode.FAILED
    job = submit(submission)
    print(f"submitted: job {job}, {submission.name}")
    for line in follow_lines(submission, job, target.folder):
        print(f"  {line}")
    return 0


def _script_options(script: str, options: str) -> list[str]:
    """Return the options for the command that the script runs.

    Raises:
        ConfigError: the script takes none, or a quote is not closed.
    """
    if options and script in ("train", "debug"):
        raise ConfigError(
            f"--options: found {options!r}",
            fix=f"the {script} script takes only settings, such as --optim.lr 5e-4",
        )
    try:
        return shlex.split(options)
    except ValueError as error:
        raise ConfigError(f"--options: found {options!r}: {error}", fix="close the quotes") from error


def _sbatch_flags(args: argparse.Namespace) -> dict[str, str]:
    """Return sbatch's options from the command line; a flag's value is empty.

    Raises:
        ConfigError: an option is given twice, has an equals sign without a value, or does not suit the script.
    """
    flags: dict[str, str] = {}
    for text in args.sbatch:
        name, equals, value = text.removeprefix("--").partition("=")
        if not name or (equals and not value):
            raise ConfigError(
                f"--sbatch: found {text!r}, expected an option and its value, such as partition=short, or a flag, such "
                "as oversubscribe",
                fix="sbatch cannot remove an option: override it, or remove its line from slurm/site.sh or the script",
            )
        if flags.get(name, value) != value:
            raise ConfigError(
                f"--sbatch {name} is given twice, as {flags[name]!r} and {value!r}", fix="keep one of them"
            )
        flags[name] = value
    if args.tasks and args.script not in ARRAYS:
        raise ConfigError(
            f"--tasks: the {args.script} script is a single job",
            fix=f"use --tasks only with --script {' or '.join(ARRAYS)}",
        )
    named = {
        "nodes": args.nodes,
        "gpus-per-node": args.gpus_per_node,
        "ntasks-per-node": args.processes_per_node,
        "time": args.time,
        "array": f"0-{args.tasks - 1}" if args.tasks else None,
    }
    return flags | {name: str(value) for name, value in named.items() if value is not None}


def _preflight(args: argparse.Namespace, target: "JobTarget", submission: "Submission") -> bool:
    """Show the checks and the plan of the job, and return whether all checks passed.

    Raises:
        ConfigError: there is no sbatch, or it does not understand an option.
    """
    from launcher.doctor.doctor import preflight
    from launcher.doctor.report import show_report
    from launcher.slurm.forecast import show_forecast
    from shards.display.current_work import at_work

    console = _console(args.dry_run)
    request = _ask(submission, console, dry_run=args.dry_run)
    if target.config is None:
        return True
    request.check()
    with at_work("checking") as work:
        report = preflight(
            args.what[0],
            args.settings,
            nodes=request.nodes,
            processes=request.processes_per_node,
            memory_gib=args.memory_gib,
            signal=request.signal if args.script == "train" else None,
            on_check=lambda name: work.describe(f"checking: {name}"),
        )
    show_report(report, console)
    if report.exit_code == 0 and args.script == "train":
        console.print()
        show_forecast(target.config, request, console, speed=args.speed, memory_gib=args.memory_gib)
        console.print()
    return report.exit_code == 0


def _ask(submission: "Submission", console: "Console", *, dry_run: bool) -> "JobRequest":
    """Test whether sbatch accepts the job. A dry run without sbatch knows only the command line and the site."""
    from launcher.slurm.sbatch import JobRequest, ask_sbatch
    from shards.display.current_work import at_work

    if dry_run and not shutil.which("sbatch"):
        console.print("SLURM: found no sbatch here: the script's own options are unknown", soft_wrap=True)
        return JobRequest(submission.options)
    with at_work("asking sbatch whether it accepts the job"):
        request = ask_sbatch(submission)
    style = "" if request.can_start else "yellow"
    console.print(f"SLURM: {request.message}", style=style, markup=False, soft_wrap=True)
    return request


def _console(dry_run: bool) -> "Console":
    """Return the console for messages: standard error in a dry run, since standard output is for the command."""
    from mms_dist.monitor.console import error_console, standard_console

    return error_console() if dry_run else standard_console()


def follow_lines(submission: "Submission", job: str, folder: Path) -> list[str]:
    """Return commands to follow and stop a job, each after its purpose."""
    lines = [("queue", f"squeue --jobs {job}"), ("log", f"tail -F {shlex.quote(str(submission.log(job)))}")]
    if submission.script == "train":
        lines += [("progress", f"mms-dist status {shlex.quote(str(folder))}"), *_curves(folder)]
        lines += [("save and requeue", f"scancel --batch --signal=USR1 {job}")]
    lines.append(("stop", f"scancel {job}"))
    width = max(len(purpose) for purpose, _ in lines)
    return [f"{purpose:<{width}}  {command}" for purpose, command in lines]


def _curves(run: Path) -> list[tuple[str, str]]:
    """Return commands to run TensorBoard on this machine and view it in a browser elsewhere."""
    folder, here = shlex.quote(str(RunPaths(run).tensorboard)), f"{getpass.getuser()}@{socket.gethostname()}"
    return [
        ("curves, here", f"tensorboard --logdir {folder} --port {PORT}"),
        ("… at your desk", f"ssh -N -L {PORT}:localhost:{PORT} {here}   # then open http://localhost:{PORT}"),
    ]
