"""`mms-dist debug`: check a configuration on a few utterances."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from launcher.arguments import Languages, count
from mms_dist.errors import DataError, ExitCode
from mms_dist.files import replace_text

ACCEPTS_SETTINGS = True

DESCRIPTION = """\
Cut a run's configuration to a few languages, utterances and rounds, and show everything on one device: plan, shapes,
route, memory, gradients and transcripts. Then check on your own model and data that languages do not affect each
other, that the base stays frozen, that Hugging Face loads the exported files, and that every language can overfit two
utterances. Nothing is written to the run directory."""

EPILOG = """\
examples:
  mms-dist debug --config configs/train/mms-300m.yaml
  mms-dist debug --config configs/train/mms-1b-all.yaml --model.base tiny-mms --device cpu   without a GPU
  mms-dist debug --config configs/train/mms-300m.yaml --languages ron ita --utterances 8 --optim.lr 5e-4

exit status: 0 every check passed · 1 a check failed · 2 the configuration, data or base needs a fix"""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "debug",
        help="check a configuration on a few utterances",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="configuration file, see configs/train/")
    parser.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default: run.device)")
    parser.add_argument(
        "--languages",
        metavar="LANG",
        nargs="+",
        action=Languages,
        help="check only these (default: the run's first five)",
    )
    parser.add_argument("--utterances", metavar="N", type=count, default=4, help="utterances in a batch (default: 4)")
    parser.add_argument("--rounds", metavar="N", type=count, default=3, help="rounds to train (default: 3)")
    parser.add_argument(
        "--overfit-steps",
        metavar="N",
        type=count,
        default=100,
        help="maximum number of steps of the overfit check (default: 100)",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the checks, print the results, and return whether all passed as the exit status."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from mms_dist.config import load_config
    from mms_dist.debugging.debug_report import FAILED
    from mms_dist.debugging.debug_view import DebugView
    from mms_dist.debugging.session import Amount, debug
    from mms_dist.monitor.console import standard_console

    overrides = [*args.settings, *(["--run.device", args.device] if args.device else [])]
    config = load_config(args.config, overrides)
    amount = Amount(args.languages, args.utterances, args.rounds, args.overfit_steps)
    with DebugView(standard_console()) as view:
        report = debug(config, amount, view, name=args.config)
    if args.json:
        text = json.dumps(report.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        replace_text(args.json, text, fix="choose another path with --json", error=DataError)
    return ExitCode.FAILED if report.count(FAILED) else ExitCode.DONE
