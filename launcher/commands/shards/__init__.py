"""`mms-dist shards`: build shards from recordings and transcripts, and align, index, verify and inspect them."""

import argparse
from typing import Any

from launcher.commands.shards import align, build, flag, index, inspect, verify

DESCRIPTION = "Turn recordings and transcripts into WebDataset shards with an index, and verify and inspect them."

EPILOG = """\
examples:
  mms-dist shards build recordings.tsv corpus/        from a manifest: audio, text, lang and optional columns
  mms-dist shards build recordings/ corpus/           from recordings/<lang>/clip.wav and clip.txt
  mms-dist shards align exported/ talks/ --to cut/    cut long recordings with their texts into utterances
  mms-dist shards index corpus/                       index tars that have no index
  mms-dist shards flag corpus/                        copies, clipped recordings, wrong languages, outliers
  mms-dist shards verify corpus/                      checksums, every sample, splits
  mms-dist shards inspect corpus/ --lang ron          hours, lengths, vocabulary, left-out utterances

Run `mms-dist shards COMMAND --help` for help on a command.
Exit status: 0 done, 1 partial failure (`build`: a language; `verify`: something in the shards), 2 invalid input."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `shards` and its subcommands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "shards",
        help="build WebDataset shards from recordings and transcripts; verify and inspect them",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="shards_command", required=True, metavar="COMMAND")
    for command in (build, align, index, flag, verify, inspect):
        command.add_parser(commands)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    status: int = args.run_shards(args)
    return status
