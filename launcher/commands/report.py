"""`mms-dist report`: show the progress of every language, from the run's files alone, as text or as a page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import amount
from launcher.console import print_json
from mms_dist.errors import DataError
from mms_dist.files import replace_text

if TYPE_CHECKING:
    from mms_dist.monitor.history import History
    from mms_dist.monitor.run_summary import RunSummary

IN_THE_RUN = Path("RUN/report.html")
"""Stands for the page's default place until the run is known."""

DESCRIPTION = """\
Show every language's steps, error rates, status and last checkpoint. With --html, write one page that shows the whole
run: a table that sorts and filters, learning curves, error against training audio, confusions, utterances with audio,
the data, where the time went, settings and how to use the adapters. The page is one file and loads nothing; send it to
others as it is. With several runs, the page compares them."""

EPILOG = """\
examples:
  mms-dist report runs/mms-300m                               a table on the terminal
  mms-dist report runs/mms-300m --html                        runs/mms-300m/report.html
  mms-dist report runs/mms-300m --html page.html --audio-mib 20
  mms-dist report runs/a runs/b --html compared.html          two runs side by side
  mms-dist report runs/mms-300m --plot curves.png
  mms-dist report runs/mms-300m --json | jq '.languages | map_values(.best_cer)'

The run may still be in progress. Scores and utterances of the page are those that `mms-dist eval RUN` stored last for
test; if test was never scored, those for dev, and otherwise those for train. Without any, error rates are those of dev
during training."""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="show every language's progress and learning curves, as text or as a page",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="run directory (run.directory in the configuration)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="plot the learning curves to FILE (.png, .pdf, .svg)")
    parser.add_argument(
        "--html",
        metavar="FILE",
        type=Path,
        nargs="?",
        const=IN_THE_RUN,
        help="write the page to FILE (default for one run: RUN/report.html)",
    )
    parser.add_argument(
        "--audio-mib",
        metavar="N",
        type=amount,
        help="most compressed audio in the page, in MiB; 0: none (default: 4)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the report, or write the page; plot the curves on request."""
    if args.plot and len(args.runs) > 1:
        from mms_dist.errors import MmsDistError

        raise MmsDistError(f"found {len(args.runs)} runs, and --plot draws one", fix="pass one RUN, or --html FILE")
    if args.html:
        _write_page(args)
    if args.html and not (args.json or args.plot):
        return 0
    from mms_dist.monitor.run_reader import as_json, read_run
    from shards.display.current_work import at_work

    with at_work(f"reading {args.runs[0]}") as work:
        found: list[tuple[RunSummary, History]] = []
        for directory in args.runs:
            work.describe(f"reading {directory}, {len(found)} of {len(args.runs)} runs done")
            found.append(read_run(directory))
        if args.plot:
            from mms_dist.monitor.plot import plot_learning_curves

            work.describe("drawing")
            summary, _ = found[0]
            plot_learning_curves(summary.languages, args.plot, title=str(summary.run_directory))
    if args.json:
        values = [as_json(summary, history) for summary, history in found]
        print_json(values[0] if len(values) == 1 else {"runs": values})
        return 0
    for summary, history in found if not args.html else ():
        if len(found) > 1:
            print(f"{'' if summary is found[0][0] else chr(10)}{summary.run_directory}")
        _print_table(summary, history)
    if args.plot:
        print(f"plot:   {args.plot}")
    return 0


def _write_page(args: argparse.Namespace) -> None:
    from mms_dist.errors import MmsDistError
    from mms_dist.report.collect import AUDIO_MIB, collect
    from mms_dist.report.comparison import compare
    from mms_dist.report.page import comparison_page, page
    from mms_dist.run_directory.paths import RunPaths
    from shards.display.current_work import at_work

    several = len(args.runs) > 1
    path: Path = args.html
    if path is IN_THE_RUN:
        if several:
            raise MmsDistError("found several runs, so the page has no default place", fix="pass --html FILE")
        path = RunPaths(args.runs[0]).report
    if path.is_dir():
        raise MmsDistError(f"{path} is a folder, expected a file for the page", fix=f"pass --html {path}/report.html")
    mib = AUDIO_MIB if args.audio_mib is None else args.audio_mib
    with at_work("reading the run") as work:
        if several:
            reports = [collect(directory, audio_bytes=0, on_progress=work.describe) for directory in args.runs]
            work.describe("writing the page")
            text = comparison_page(compare(reports))
        else:
            report = collect(args.runs[0], audio_bytes=round(mib * 2**20), on_progress=work.describe)
            work.describe("writing the page")
            text = page(report)
    replace_text(path, text, fix="choose another path", error=DataError)
    print(f"page:   {path} ({len(text.encode()) / 1e6:.1f} MB)")


def _print_table(summary: "RunSummary", history: "History") -> None:
    from datetime import UTC, datetime

    from mms_dist.monitor.console import standard_console
    from mms_dist.monitor.formatting import age
    from mms_dist.monitor.run_summary import problem_lines, run_languages_table, summary_line

    console, now = standard_console(), datetime.now(UTC)
    console.print(run_languages_table(summary.languages, console.width, now=now))
    console.print(problem_lines(summary.languages), summary_line(summary), sep="\n")
    if history.last is not None:
        end = {"preempted": "stopped"}.get(history.ended, history.ended) or "still running, or killed"
        console.print(f"round {history.round:,}, {end}; last event {age((now - history.last).total_seconds())} ago")
    console.print(f"curves: {summary.tensorboard_command}", soft_wrap=True, highlight=False, markup=False)
