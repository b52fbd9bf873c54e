"""`mms-dist report`: show the progress of every language, from the run's files alone."""

import argparse
from typing import Any

from launcher.console import print_json

EPILOG = """\
examples:
  mms-dist report runs/mms-300m
  mms-dist report runs/mms-300m --plot curves.png
  mms-dist report runs/mms-300m --json | jq '.languages | map_values(.best_cer)'

The run may still be in progress: nothing is written to its directory."""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="show every language's progress and learning curves",
        description="Show every language's steps, error rates, status and last checkpoint.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="run directory (run.directory in the configuration)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", metavar="FILE", help="plot the learning curves to FILE (.png, .pdf or .svg)")


def run(args: argparse.Namespace) -> int:
    """Print the report, and plot the curves on request."""
    from pathlib import Path

    from mms_dist.monitor.run_reader import as_json, read_run

    summary, history = read_run(args.run)
    if args.plot:
        from mms_dist.monitor.plot import plot_learning_curves

        plot_learning_curves(summary.languages, Path(args.plot), title=str(summary.run_directory))
    if args.json:
        print_json(as_json(summary, history))
    else:
        _print_table(summary, history)
        if args.plot:
            print(f"plot:   {args.plot}")
    return 0


def _print_table(summary: Any, history: Any) -> None:
    from datetime import UTC, datetime

    from mms_dist.monitor.console import standard_console
    from mms_dist.monitor.formatting import age
    from mms_dist.monitor.run_summary import languages_table, problem_lines, summary_line

    console, now = standard_console(), datetime.now(UTC)
    console.print(languages_table(summary.languages, console.width, now=now))
    console.print(problem_lines(summary.languages), summary_line(summary), sep="\n")
    if history.last is not None:
        end = {"preempted": "stopped"}.get(history.ended, history.ended) or "still running, or killed"
        console.print(f"round {history.round:,}, {end}; last event {age((now - history.last).total_seconds())} ago")
    console.print(f"curves: {summary.tensorboard_command}", soft_wrap=True, highlight=False, markup=False)
