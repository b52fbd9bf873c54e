"""`mms-dist shards index`: index WebDataset tars from other tools."""

import argparse
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.commands.shards.options import (
    add_command,
    add_flag_thresholds,
    add_languages,
    add_length_limits,
    add_text_rules,
    add_vocabulary,
    add_workers,
    flag_thresholds,
    rule_options,
    shards_place,
    vocabulary_options,
)

if TYPE_CHECKING:
    from shards.errors import Problem

EPILOG = """\
examples:
  mms-dist shards index corpus/                                    every corpus/<lang>/*.tar without an index.json
  mms-dist shards index corpus/ --text-field sentence              the transcript is "sentence" in each sample's .json
  mms-dist shards index corpus/ 's3://bucket/ron-{000..063}.tar' --lang ron --split train
  mms-dist shards index s3://bucket/corpus                         the index is written there, too
  mms-dist shards index corpus/ 'pipe:ssh store cat /ron/dev.tar' --lang ron --split dev

The tars contain audio (flac, wav, mp3, ogg, opus …) and a transcript (.json or .txt) per sample. They are not changed:
audio is resampled to 16 kHz, and text is normalised, whenever they are read. Audio below 8 kHz is left out. Splits
come from the names of the tars (train-000.tar, dev.tar, val-3.tar), unless --split is given.

Languages with an index are skipped; --force indexes them again. If an earlier version wrote the index, the columns that
its sample table lacks (source and tags) are added from the samples' .json, without decoding audio."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(commands, "index", help="index WebDataset tars from other tools", epilog=EPILOG)
    parser.add_argument(
        "shards", type=shards_place, metavar="SHARDS", help="folder or s3:// URL to write <lang>/index.json in"
    )
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
    add_text_rules(parser)
    add_vocabulary(parser)
    add_flag_thresholds(parser)
    parser.add_argument("--keep-text", action="store_true", help="do not normalise the text")
    add_length_limits(parser)
    parser.add_argument("--force", action="store_true", help="replace existing indexes")
    add_workers(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be indexed, but write nothing")
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    from shards.display.build_report import (
        built_languages_table,
        print_drops,
        print_failed,
        print_outside_vocabulary,
        print_unknown_lengths,
    )
    from shards.display.current_work import at_work
    from shards.display.flag_report import print_flags
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.errors import ShardsError, failure_of
    from shards.flags.names import FlagOptions
    from shards.foreign.find_tars import find_tars
    from shards.foreign.index_tars import IndexOptions, index_language
    from shards.index.failures import FAILURES_NAME
    from shards.limits import Limits
    from shards.process_pool import WorkerPool
    from shards.storage import join
    from shards.text_rules import load_rules

    vocabulary = vocabulary_options(args)
    if not args.tars and not args.force and _complete_tables(args):
        return 0
    with at_work(f"looking for tars in {args.shards}"):
        found = find_tars(args.shards, args.tars, languages=args.languages, split=args.split, reindex=args.force)
    console = make_console()
    languages, failed = found.languages, dict(found.failed)
    if args.dry_run:
        for code, tars in languages.items():
            for tar in tars:
                say(console, f"{code} {tar.split}: {tar.place}")
        if failed:
            raise failure_of(failed, others=len(languages))
        return 0
    if languages:
        print_failed(console, failed)
    _record(args.shards, failed, done=())
    indexes: dict[str, Any] = {}
    total = sum(map(len, languages.values()))
    with WorkerPool(min(args.workers, total)) as pool, WorkProgress(console, total, "tars") as work:
        for code, tars in languages.items():
            work.describe(code)
            options = IndexOptions(
                load_rules(code, rule_options(args)),
                text_field=args.text_field,
                normalise=not args.keep_text,
                limits=Limits(min_seconds=args.min_seconds, max_seconds=args.max_seconds),
                vocabulary=vocabulary,
                flags=FlagOptions(flag_thresholds(args)),
            )
            try:
                indexes[code] = index_language(
                    args.shards / code if isinstance(args.shards, Path) else join(args.shards, code),
                    code,
                    tars,
                    options,
                    pool=pool,
                    advance=work.advance,
                    note=lambda line: say(console, line),
                )
            except ShardsError as error:
                failed[code] = error.problem
            _record(args.shards, failed, done=indexes)
    if not indexes and not failed:
        say(console, f"every language in {args.shards} has an index; --force replaces them")
        return 0
    if indexes:
        console.print(built_languages_table(indexes, console.width))
    print_flags(console, {code: index["flags"] for code, index in indexes.items()}, examples=False)
    print_drops(console, {code: index["drops"] for code, index in indexes.items()})
    print_outside_vocabulary(console, indexes)
    print_unknown_lengths(console, indexes)
    if failed:
        say(console, f"languages that failed, with the reasons: {join(str(args.shards), FAILURES_NAME)}")
        raise failure_of(failed, others=len(indexes))
    return 0


def _complete_tables(args: argparse.Namespace) -> bool:
    """Add missing columns to the tables of languages with an index. Returns whether nothing else is to be indexed."""
    from shards import storage
    from shards.add_columns import add_columns, lacking_columns
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.index import ShardIndex
    from shards.splits import SPLITS

    root = str(args.shards)
    if isinstance(args.shards, Path) and not args.shards.is_dir():
        return False
    codes = args.languages or storage.list_folders(root)
    lacking = {code: columns for code in codes if (columns := lacking_columns(root, code))}
    console = make_console()
    for code, columns in lacking.items():
        if not args.dry_run:
            index = ShardIndex.load(root, [code]).language(code)
            total = sum(index.utterances(split) for split in SPLITS)
            with WorkProgress(make_console(stderr=True), total, "utterances") as work:
                add_columns(root, code, work.advance)
        say(console, f"{code}: columns added to its sample table: {', '.join(columns)}")
    return bool(lacking) and len(lacking) == len(codes)


def _record(shards: Path | str, failed: Mapping[str, "Problem"], done: Collection[str]) -> None:
    """Write the list of failures, if indexes can be written there at all."""
    from shards import storage
    from shards.index.failures import record_outcome

    if isinstance(shards, str):
        record_outcome(shards, failed=failed, done=done)
    elif os.access(shards, os.W_OK | os.X_OK):
        with storage.local_errors(shards):
            record_outcome(shards, failed=failed, done=done)
