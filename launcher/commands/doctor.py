"""`mms-dist doctor`: what could keep a run from working, all at once, before it is started."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from launcher.arguments import count, positive

if TYPE_CHECKING:
    from launcher.doctor.report import Report

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Look at everything that a run needs, and report all problems at once, each with a fix: installed versions, the
configuration, devices, the base model, shards and vocabularies, the run directory's file system and locks, disk space,
memory, processes and network. Nothing is trained; what is written goes again.

Of the shards, every tar's length is looked at, and of those on a local path the first and the last utterance of each
split; 'mms-dist shards verify' reads every byte."""

EPILOG = """\
examples:
  mms-dist doctor configs/train/mms-300m.yaml
  mms-dist doctor configs/train/mms-300m.yaml --data.shards /data/corpus --load       read all of the base's weights
  mms-dist doctor configs/train/mms-300m.yaml --nodes 4 --processes 8 --memory-gib 80   for machines other than this
  srun --nodes=4 --ntasks-per-node=1 mms-dist doctor configs/train/mms-300m.yaml      on all machines of a job, which
      meet as for training: the same software, base, shards and settings, network, clocks, a shared run directory
  mms-dist doctor configs/train/mms-300m.yaml --json | jq '.findings[] | select(.status == "failed")'

exit status: 0 the run can be started, though there may be warnings · 1 a check failed · 2 no such configuration, or
wrong usage"""


def add_parser(subparsers: Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="look for all that could keep a run from working",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("configuration", metavar="CONFIG", nargs="?", help="configuration, see configs/train/")
    which.add_argument("--config", metavar="FILE", help="the same, as other commands take it")
    parser.add_argument(
        "--load",
        action="store_true",
        help="load the base, look at every weight, and measure whether reading keeps up with the device",
    )
    parser.add_argument("--nodes", metavar="N", type=count, help="machines of the run (default: this, or the job's)")
    parser.add_argument("--processes", metavar="N", type=count, help="on each of them (default: one a GPU)")
    parser.add_argument("--memory-gib", metavar="GIB", type=positive, help="of a process's device, if it is not here")
    parser.add_argument(
        "--timeout-seconds", metavar="S", type=positive, default=60.0, help="to wait for other processes (default: 60)"
    )
    parser.add_argument("--json", action="store_true", help="print plain values instead of a table")


def run(args: argparse.Namespace) -> int:
    """Examine, and report on the first process of a job."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from launcher.doctor.context import Context
    from launcher.doctor.doctor import visit
    from launcher.doctor.site import site_of
    from mms_dist.config.document import read_document
    from mms_dist.config.load import assigned

    path = args.configuration or args.config
    assigned(read_document(path), args.settings)  # without a configuration there is nothing to look at
    site = site_of(os.environ, nodes=args.nodes, processes=args.processes, memory_gib=args.memory_gib)
    context = Context(path, args.settings, site, load=args.load)
    return visit(context, timeout_seconds=args.timeout_seconds, tell=_print_json if args.json else _print_table)


def _print_json(report: "Report") -> None:
    json.dump(report.as_dict(), sys.stdout, indent=1, ensure_ascii=False, allow_nan=False)
    print()


def _print_table(report: "Report") -> None:
    from launcher.doctor.show import show
    from mms_dist.monitor.console import standard_console

    show(report, standard_console())
