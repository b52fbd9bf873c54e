"""`mms-dist demo`: run the whole pipeline on the included recordings, with the commands a user would type."""

import argparse
import os
import shlex
import time
from pathlib import Path
from typing import Any

from launcher.arguments import count
from launcher.processes import run_launcher, train_command

EPILOG = """\
The demo builds shards from real recordings in English, Spanish, French, Italian and Russian. It trains an adapter and
head for each language, all at once, on the included base, which was not trained on any of the five. It then makes a
language model of characters for each language from its training text, transcribes the held-out test sentences with and
without it, exports the adapters for Hugging Face and writes a report for the browser. This takes five to eight minutes
on two CPU cores. Running it again skips the steps that are done."""

SENTENCES, FEWEST_WORDS = 3, 3
"""Number of sentences that are shown at the end, one of a language, and their words."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "demo",
        help="run the whole pipeline on the included recordings",
        description="Build shards, train five languages at once, make language models, evaluate, export and report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--directory", default="demo-run", help="folder for shards and the run (default: %(default)s)")
    parser.add_argument(
        "--steps",
        metavar="N",
        type=count,
        help="optimizer steps per language (default: 750, as configured; 200 teach some languages nothing)",
    )
    parser.add_argument(
        "--processes", metavar="N", type=count, default=1, help="training processes (default: %(default)s)"
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
    print("\nSentences that the adapters had never heard, as they were said and as they were written:")
    print("\n".join(_sentences(directory / "run")))
    print(f"\nThe demo took {time.monotonic() - began:.0f} s. Open the report in a browser:")
    print(f"  {directory / 'run' / 'report.html'}")
    return 0


def commands(directory: Path, steps: int | None, processes: int) -> list[list[str]]:
    """Return the demo's commands, as a user would type them."""
    from mms_dist.config.paths import literal
    from shards.demo import DEMO_MANIFEST

    config = Path(__file__).parent.parent / "demo.yaml"
    where, run_directory = str(directory / "shards"), str(directory / "run")
    settings = ["--config", str(config), "--run.directory", literal(run_directory), "--data.shards", literal(where)]
    if steps is not None:
        settings += ["--optim.steps", str(steps), "--optim.warmup_steps", str(steps // 10)]
    single_process = ["mms-dist", "train", *settings]
    return [
        ["mms-dist", "shards", "build", str(DEMO_MANIFEST), where],
        single_process if processes == 1 else train_command(processes, settings, os.environ),
        ["mms-dist", "lm", "build", where, "--unit", "char"],
        ["mms-dist", "eval", run_directory, "--split", "test", "--lm", where, "--tune"],
        ["mms-dist", "export", run_directory],
        ["mms-dist", "report", run_directory, "--html"],
    ]


def _sentences(run_directory: Path) -> list[str]:
    """Show a random test sentence of each of the best languages."""
    from mms_dist.evaluation.stored_evaluation import read_evaluation
    from mms_dist.report.error_samples import RANDOM, shown_utterances

    evaluation = read_evaluation(run_directory)
    assert evaluation is not None, "the demo has just written it"
    best = sorted(evaluation.languages, key=lambda code: evaluation.languages[code].scores.cer)[:SENTENCES]
    lines = []
    for code in best:
        long = [each for each in evaluation.utterances[code] if len(each.reference.split()) >= FEWEST_WORDS]
        shown = shown_utterances(code, long or evaluation.utterances[code], 1)
        each = next(utterance for utterance in shown[::-1] if utterance.choice == RANDOM or len(shown) == 1)
        lines += ["", f"  {code}  said     {each.reference}", f"  {'':{len(code)}}  written  {each.hypothesis}"]
    return lines


def _launch(command: list[str], run_directory: Path) -> int:
    """Train on several processes and return the training's own exit status, which the launcher hides."""
    from mms_dist.run_directory.status_file import RunState, read_status

    before = read_status(run_directory)
    status = run_launcher(command, os.environ)
    now = read_status(run_directory)
    if status == 0 or now is None or now == before or now.exit_code is None:
        return status  # the launcher's: training has not recorded one
    if now.state == RunState.PREEMPTED:
        print("\nstopped: every language is saved; run the same command to resume (the traceback is the launcher's)")
    return now.exit_code
