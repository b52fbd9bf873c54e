"""Options that several subcommands of `mms-dist shards` share."""

import argparse
import os
from typing import Any

from launcher.arguments import Languages, count, positive


def add_command(commands: Any, name: str, *, help: str, epilog: str | None = None) -> argparse.ArgumentParser:
    """Add a subcommand's parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_shards_and_languages(parser: argparse.ArgumentParser) -> None:
    """Add SHARDS and `--lang` of a subcommand that only reads shards."""
    parser.add_argument("shards", metavar="SHARDS", help="folder or URL with <lang>/index.json")
    add_languages(parser, "only these languages")


def add_length_limits(parser: argparse.ArgumentParser) -> None:
    """Add the shortest and longest duration of an utterance."""
    parser.add_argument(
        "--min-seconds", type=positive, default=0.3, metavar="S", help="leave out utterances below this (default: 0.3)"
    )
    parser.add_argument(
        "--max-seconds", type=positive, default=30.0, metavar="S", help="leave out utterances above this (default: 30)"
    )


def add_languages(parser: argparse.ArgumentParser, help: str) -> None:
    """Add `--lang`."""
    parser.add_argument(
        "--lang",
        "--languages",
        dest="languages",
        nargs="+",
        action=Languages,
        type=language_code,
        default=[],
        metavar="CODE",
        help=f"{help}; for example ron ita or ron,ita",
    )


def language_code(text: str) -> str:
    """Parse one word of `--lang`: SOURCE or SHARDS after it would be taken for a code."""
    if "/" in text or os.path.isfile(text):  # meant as SOURCE or SHARDS
        raise argparse.ArgumentTypeError(f"found {text!r}, expected language codes; write paths before --lang")
    return text


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument(
        "--workers", type=count, default=os.cpu_count() or 1, metavar="N", help="processes (default: number of cores)"
    )
