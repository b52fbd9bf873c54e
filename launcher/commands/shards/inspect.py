"""`mms-dist shards inspect`: show the contents of the shards."""

import argparse
from typing import Any

from launcher.commands.shards.options import add_command, add_shards_and_languages


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "inspect", help="show hours, lengths, vocabulary and left-out utterances")
    add_shards_and_languages(parser)
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    import numpy as np

    from shards.display.build_report import print_drops, print_unknown_lengths
    from shards.display.summary import duration_histogram, durations_of, summary_table, vocabulary_lines
    from shards.display.terminal import make_console
    from shards.index import ShardIndex

    console = make_console()
    index = ShardIndex.load(args.shards, args.languages or None)
    console.print(summary_table(index, console.width))
    print_drops(console, {code: index.language(code).content["drops"] for code in index.languages})
    print_unknown_lengths(console, {code: index.language(code).content for code in index.languages})
    if args.languages:
        console.print("characters")
        for line in vocabulary_lines(index, index.languages):
            console.print(f"  {line}")
    console.print("lengths of utterances")
    for line in duration_histogram(np.concatenate([durations_of(index.language(code)) for code in index.languages])):
        console.print(f"  {line}")
    return 0
