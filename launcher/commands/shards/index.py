"""`mms-dist shards index`: index WebDataset tars from other tools."""

import argparse
from pathlib import Path
from typing import Any

from launcher.commands.shards.options import add_command, add_languages, add_length_limits, add_workers

EPILOG = """\
examples:
  mms-dist shards index corpus/                                    every corpus/<lang>/*.tar without an index.json
  mms-dist shards index corpus/ --text-field sentence              the transcript is "sentence" in each sample's .json
  mms-dist shards index corpus/ 's3://bucket/ron-{000..063}.tar' --lang ron --split train
  mms-dist shards index corpus/ 'pipe:ssh store cat /ron/dev.tar' --lang ron --split dev

The tars contain audio (flac, wav, mp3, ogg, opus …) and a transcript (.json or .txt) per sample. They are not changed:
audio is resampled to 16 kHz, and text is normalised, whenever they are read. Audio below 8 kHz is left out. Splits
come from the names of the tars (train-000.tar, dev.tar, val-3.tar), unless --split is given."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "index", help="index WebDataset tars from other tools", epilog=EPILOG)
    parser.add_argument("shards", type=Path, metavar="SHARDS", help="folder to write <lang>/index.json in")
    parser.add_argument("tars", nargs="*", metavar="TAR", help="paths, URLs or pipe:commands; {000..063} is expanded")
    add_languages(parser, "the language of the given TARs; without TARs, index only these (default: all)")
    parser.add_argument(
        "--split", choices=("train", "dev", "test"), help="split of all the tars (default: from their names)"
    )
    parser.add_argument(
        "--text-field",
        metavar="NAME",
        help="key of the transcript in .json files (default: text, sentence, transcript … or the .txt file)",
    )
    parser.add_argument("--text-rules", type=Path, metavar="FILE", help="YAML that overrides shards/text_rules.yaml")
    parser.add_argument("--keep-text", action="store_true", help="do not normalise the text")
    add_length_limits(parser)
    parser.add_argument("--force", action="store_true", help="replace existing indexes")
    add_workers(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be indexed, but write nothing")
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    from shards.display.build_report import languages_table, print_drops, print_unknown_lengths
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.foreign.find_tars import find_tars
    from shards.foreign.index_tars import IndexOptions, index_language
    from shards.limits import Limits
    from shards.text_rules import load_rules

    languages = find_tars(args.shards, args.tars, languages=args.languages, split=args.split, again=args.force)
    console = make_console()
    if args.dry_run:
        for code, tars in languages.items():
            for tar in tars:
                say(console, f"{code} {tar.split}: {tar.place}")
        return 0
    indexes: dict[str, Any] = {}
    with WorkProgress(console, sum(map(len, languages.values())), "tars") as work:
        for code, tars in languages.items():
            work.describe(code)
            options = IndexOptions(
                load_rules(code, args.text_rules),
                text_field=args.text_field,
                normalise=not args.keep_text,
                limits=Limits(min_seconds=args.min_seconds, max_seconds=args.max_seconds),
            )
            indexes[code] = index_language(
                args.shards / code,
                code,
                tars,
                options,
                workers=args.workers,
                advance=work.advance,
                note=lambda line: say(console, line),
            )
    if not indexes:
        say(console, f"every language in {args.shards} has an index; --force replaces them")
        return 0
    console.print(languages_table(indexes, console.width))
    print_drops(console, {code: index["drops"] for code, index in indexes.items()})
    print_unknown_lengths(console, indexes)
    return 0
