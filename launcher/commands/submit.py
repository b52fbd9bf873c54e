"""`mms-dist submit`: check a job and submit it to a SLURM cluster."""

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import count, positive
from launcher.slurm.submission import SCRIPTS
from mms_dist.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from launcher.slurm.subject import JobSubject
    from launcher.slurm.submission import Submission

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Fill in a script from slurm/ for this cluster, submit it with sbatch, and print how to follow the job. Training and
debug jobs get a preflight check first, and for training the plan is shown. The submitted script is self-contained
(partition, account, arguments). A copy stays beside the job's log in RUN/logs/ (SHARDS/logs/ for shards) and can be
submitted again as it is.
Settings of the cluster are in slurm/site.sh. Run this command in the repository's folder."""

EPILOG = """\
examples:
  mms-dist submit configs/train/mms-300m.yaml --nodes 4 --gpus-per-node 8 --dry-run
  mms-dist submit configs/train/mms-300m.yaml --nodes 4 --time 8:00:00 --optim.lr 5e-4
  mms-dist submit configs/train/mms-300m.yaml --script debug --nodes 4          check before the first long job
  mms-dist submit recordings.tsv corpus/ --script shards --tasks 16 --options="--max-seconds 20"
  mms-dist submit runs/mms-300m --script eval --options="--split dev"
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
        "what", metavar="CONFIG", nargs="+", help="configuration file; RUN for eval, SOURCE SHARDS for shards"
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
        "--tasks", metavar="N", type=count, help="tasks of the job array, one per group of languages (for shards)"
    )
    parser.add_argument(
        "--options",
        metavar='="…"',
        default="",
        help="options for `mms-dist shards build` or `eval`, quoted and after =",
    )
    parser.add_argument(
        "--sbatch",
        metavar="OPTION=VALUE",
        action="append",
        default=[],
        help="any other sbatch option, by its long name; OPTION alone sets a flag, OPTION= removes an option set by "
        "the script or site.sh (such as exclusive= on shared machines); repeatable",
    )
    parser.add_argument("--speed", metavar="X", type=positive, help="speed for the plan, as for `mms-dist plan`")
    parser.add_argument("--memory-gib", metavar="GIB", type=positive, help="device memory of a process, as for `plan`")
    parser.add_argument("--no-preflight", action="store_true", help="submit without the preflight check")
    parser.add_argument("--dry-run", action="store_true", help="print the script, but do not submit it")


def run(args: argparse.Namespace) -> int:
    """Prepare the job, run the preflight check, and submit."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from launcher.slurm.follow import follow_lines
    from launcher.slurm.sbatch import sbatch
    from launcher.slurm.subject import subject_of
    from launcher.slurm.submission import prepare

    subject = subject_of(args.script, args.what, args.settings)
    submission = prepare(
        args.script,
        [*args.what, *args.settings, *_options(args)],
        home=Path.cwd(),
        about=subject.folder,
        wanted=_wanted(args),
        environment=os.environ,
    )
    passed = args.no_preflight or _preflight(args, subject, submission)
    if args.dry_run:
        sys.stdout.write(submission.text)
        return ExitCode.DONE if passed else ExitCode.FAILED
    if not passed:
        print("not submitted: fix the failed checks, or submit anyway with --no-preflight", file=sys.stderr)
        return ExitCode.FAILED
    job = sbatch(submission)
    print(f"submitted: job {job}, {submission.name}")
    for line in follow_lines(submission, job, subject):
        print(f"  {line}")
    return 0


def _options(args: argparse.Namespace) -> list[str]:
    """Return the options for the command that the script runs."""
    from mms_dist.errors import ConfigError

    if args.options and args.script in ("train", "debug"):
        raise ConfigError(
            f"--options: found {args.options!r}",
            fix=f"the {args.script} script takes only settings, such as --optim.lr 5e-4",
        )
    try:
        return shlex.split(args.options)
    except ValueError as error:
        raise ConfigError(f"--options: found {args.options!r}: {error}", fix="close the quotes") from error


def _wanted(args: argparse.Namespace) -> dict[str, str | None]:
    """Return sbatch's options from the command line; None removes an option."""
    from mms_dist.errors import ConfigError

    options: dict[str, str | None] = {}
    for text in args.sbatch:
        name, equals, value = text.removeprefix("--").partition("=")
        wanted = None if equals and not value else value
        if options.get(name, wanted) != wanted:
            raise ConfigError(
                f"--sbatch {name} is given twice, as {options[name]!r} and {wanted!r}", fix="keep one of them"
            )
        options[name] = wanted
    if args.tasks and args.script != "shards":
        raise ConfigError(
            f"--tasks: the {args.script} script is a single job", fix="use --tasks only with --script shards"
        )
    named = {
        "nodes": args.nodes,
        "gpus-per-node": args.gpus_per_node,
        "ntasks-per-node": args.processes_per_node,
        "time": args.time,
        "array": f"0-{args.tasks - 1}" if args.tasks else None,
    }
    return options | {name: str(value) for name, value in named.items() if value is not None}


def _preflight(args: argparse.Namespace, subject: "JobSubject", submission: "Submission") -> bool:
    """Show the checks and the plan of the job, and return whether all checks passed.

    Raises:
        ConfigError: there is no sbatch.
    """
    from launcher.doctor.doctor import preflight
    from launcher.doctor.show import show
    from launcher.slurm.forecast import show_forecast

    console = _console(args.dry_run)
    _print_expected_start(args, submission, console)
    if subject.config is None:
        return True
    report = preflight(
        args.what[0],
        args.settings,
        nodes=submission.nodes,
        processes=submission.processes_per_node,
        memory_gib=args.memory_gib,
        script=submission.text if args.script == "train" else None,
    )
    show(report, console)
    if report.exit_code == 0 and args.script == "train":
        console.print()
        show_forecast(subject.config, submission, console, speed=args.speed, memory_gib=args.memory_gib)
        console.print()
    return report.exit_code == 0


def _print_expected_start(args: argparse.Namespace, submission: "Submission", console: "Console") -> None:
    """Ask SLURM when it would start the job. A dry run skips this if there is no sbatch."""
    from launcher.slurm.sbatch import predict_start

    if args.dry_run and not shutil.which("sbatch"):
        return
    start = predict_start(submission)
    console.print(f"SLURM: {start.message}", style="" if start.is_possible else "yellow", markup=False, soft_wrap=True)


def _console(dry_run: bool) -> "Console":
    """Return the console for messages: standard error in a dry run, since standard output is for the script."""
    from mms_dist.monitor.console import error_console, standard_console

    return error_console() if dry_run else standard_console()
