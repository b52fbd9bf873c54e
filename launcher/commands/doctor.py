"""`mms-dist doctor`: find everything that could keep a run from working before it is started."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from launcher.arguments import count, positive
from launcher.console import print_json

if TYPE_CHECKING:
    from launcher.doctor.report import Report

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Check everything that a run needs, and report all problems at once, each with a fix: installed versions, the
configuration, devices, the base model, shards and vocabularies, the run directory's file system and locks, disk space,
memory, processes and network. Nothing is trained, and temporary files are removed.

The length of every shard is checked, and if the shards are on a local path, the first and last utterance of each split
are decoded. 'mms-dist shards verify' reads every byte."""

EPILOG = """\
examples:
  mms-dist doctor configs/train/mms-300m.yaml
  mms-dist doctor configs/train/mms-300m.yaml --data.shards /data/corpus --load       also read all the base's weights
  mms-dist doctor configs/train/mms-300m.yaml --nodes 4 --processes 8 --memory-gib 80   for other machines
  srun --nodes=4 --ntasks-per-node=1 mms-dist doctor configs/train/mms-300m.yaml      on all machines of a job, which
      connect as for training: same software, base, shards and settings, network, clocks, a shared run directory
  mms-dist doctor configs/train/mms-300m.yaml --json | jq '.findings[] | select(.status == "failed")'

exit status: 0 the run can be started, though there may be warnings · 1 a check failed · 2 no such configuration, or a
usage error"""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "doctor",
        help="find everything that could keep a run from working",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("configuration", metavar="CONFIG", nargs="?", help="configuration file, see configs/train/")
    which.add_argument("--config", metavar="FILE", help="the same as CONFIG, as a flag")
    parser.add_argument(
        "--load",
        action="store_true",
        help="load the base, check every weight, and measure whether the loader keeps up with the device",
    )
    parser.add_argument("--nodes", metavar="N", type=count, help="machines (default: this one, or those of the job)")
    parser.add_argument("--processes", metavar="N", type=count, help="processes per machine (default: one per GPU)")
    parser.add_argument(
        "--memory-gib", metavar="GIB", type=positive, help="memory of a process's device on other machines"
    )
    parser.add_argument(
        "--timeout-seconds",
        metavar="S",
        type=positive,
        default=60.0,
        help="how long to wait for other processes (default: 60)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Run the checks; in a job, only the first process prints the report."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from launcher.doctor.context import Context
    from launcher.doctor.doctor import run_doctor
    from launcher.doctor.machines import machines_of
    from mms_dist.config.document import read_document
    from mms_dist.config.load import apply_overrides
    from mms_dist.monitor.console import error_console
    from shards.display.current_work import CurrentWork

    path = args.configuration or args.config
    apply_overrides(read_document(path), args.settings)  # without a configuration there is nothing to check
    machines = machines_of(os.environ, nodes=args.nodes, processes=args.processes, memory_gib=args.memory_gib)
    is_first = os.environ.get("RANK", "0") == "0"
    with CurrentWork(error_console()) as work:

        def show(report: "Report") -> None:
            work.close()
            (_print_json if args.json else _print_table)(report)

        context = Context(
            path=path,
            settings=args.settings,
            machines=machines,
            load=args.load,
            on_check=(lambda name: work.describe(f"checking: {name}")) if is_first else (lambda name: None),
        )
        return run_doctor(context, timeout_seconds=args.timeout_seconds, show=show)


def _print_json(report: "Report") -> None:
    print_json(report.as_dict(), indent=1)


def _print_table(report: "Report") -> None:
    from launcher.doctor.report import show_report
    from mms_dist.monitor.console import standard_console

    show_report(report, standard_console())
