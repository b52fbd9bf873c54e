"""`mms-dist demo`: the whole path on the recordings that ship with the project, by the commands one would type."""

import argparse
import shlex
import time
from pathlib import Path
from typing import Any

from launcher.arguments import count

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


def run(args: argparse.Namespace) -> int:
    from launcher.cli import main

    began = time.monotonic()
    for command in commands(Path(args.directory), args.steps):
        print(f"\n$ mms-dist {shlex.join(command)}", flush=True)
        status = main(command)
        if status != 0:
            return status
    print(f"\nAll of it took {time.monotonic() - began:.0f} s. See what every language learned:")
    print(f"  mms-dist report {shlex.quote(str(Path(args.directory) / 'run'))}")
    return 0


def commands(directory: Path, steps: int | None) -> list[list[str]]:
    """The demo, as commands after `mms-dist`."""
    import shards

    corpus = Path(shards.__file__).parent / "demo" / "manifest.tsv"
    config = Path(__file__).parent.parent / "demo.yaml"
    where, run_directory = str(directory / "shards"), str(directory / "run")
    settings = ["--run.directory", run_directory, "--data.shards", where]
    if steps is not None:
        settings += ["--optim.steps", str(steps), "--optim.warmup_steps", str(steps // 10)]
    return [
        ["shards", "build", str(corpus), where],
        ["train", "--config", str(config), *settings],
        ["eval", run_directory, "--split", "test"],
        ["export", run_directory],
    ]
