"""`mms-dist shards flag`: look for utterances that may be wrong, and flag them by name."""

import argparse
from typing import TYPE_CHECKING

from launcher.commands.shards.options import (
    add_command,
    add_flag_thresholds,
    add_languages,
    add_workers,
    flag_thresholds,
    shards_place,
)
from launcher.console import print_json

if TYPE_CHECKING:
    from typing import Any

EPILOG = """\
examples:
  mms-dist shards flag corpus/
  mms-dist shards flag corpus/ --lang ron --dry-run --json
  mms-dist shards flag corpus/ --threshold clipped=0.01 near_duplicate_text=0.9
  mms-dist train --config train.yaml --data.leave_out_flagged near_duplicate_audio,clipped

{flags}

`shards build` and `shards index` flag what they write, but cannot tell whether a text is in another language of the
corpus, since that may not be built yet. This command compares the texts with those of all languages in SHARDS, and
flags all utterances anew. Shards without measures, as earlier versions wrote them, are decoded once for that. Only the
sample tables and indexes change, a language at a time: after an interruption, the same command goes on. A language that
cannot be read stops no other: it is named, and the exit status is 1. Nothing is left out by a flag,
unless data.leave_out_flagged or `shards build --drop-flagged` names it. docs/data.md has the details."""


def add_parser(commands: "Any") -> None:
    """Add the subcommand."""
    from shards.flags.names import FLAGS

    width = max(map(len, FLAGS))
    lines = [
        f"{name:<{width}}  {flag.meaning}\n{'':<{width}}  ({flag.threshold_meaning}: {flag.threshold:g})"
        for name, flag in FLAGS.items()
    ]
    parser = add_command(
        commands,
        "flag",
        help="flag copies, clipped and silent recordings, texts in other languages, and outliers",
        epilog=EPILOG.format(flags="\n".join(lines)),
    )
    parser.add_argument(
        "shards", type=shards_place, metavar="SHARDS", help="folder or s3:// URL with <lang>/index.json"
    )
    add_languages(parser, "flag only these languages; texts are compared with all")
    add_flag_thresholds(parser)
    add_workers(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the flags, and store nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    from shards.build.flag_shards import flag_language, language_models, readable_languages
    from shards.display.flag_report import print_flags
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.errors import ShardsError, failure_of
    from shards.flags.names import FlagOptions
    from shards.process_pool import WorkerPool
    from shards.splits import SPLITS

    options = FlagOptions(flag_thresholds(args))
    root = str(args.shards)
    everything, unreadable = readable_languages(root)
    failed = {code: problem for code, problem in unreadable.items() if code in (args.languages or unreadable)}
    codes = [code for code in args.languages or everything.languages if code not in failed]
    console = make_console(stderr=args.json)
    found = {}
    total = sum(everything.language(code).utterances(split) for code in codes for split in SPLITS)
    with WorkerPool(args.workers) as pool, WorkProgress(console, total, "utterances") as work:
        work.describe("texts of all languages")
        models, without_texts = language_models(everything)
        for code in codes:
            work.describe(code)
            try:
                found[code] = flag_language(
                    everything, code, options, models, pool=pool, advance=work.advance, store=not args.dry_run
                )
            except ShardsError as error:
                failed[code] = error.problem
    for code, problem in (unreadable | without_texts).items():
        if code not in failed:
            say(console, f"no texts were compared with those of {code}: {problem}")
    if args.json:
        print_json(found)
    elif found:
        print_flags(console, found, examples=True)
    if failed:
        raise failure_of(failed, others=len(found))
    if not args.json and not args.dry_run:
        say(console, f"flags are stored in {root}; leave flagged utterances out with data.leave_out_flagged")
    return 0
