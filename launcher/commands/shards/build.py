"""`mms-dist shards build`: build shards from a manifest or a folder of recordings."""

import argparse
import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import count
from launcher.commands.shards.options import (
    TrainingLanguages,
    add_command,
    add_flag_thresholds,
    add_languages,
    add_length_limits,
    add_source_kind,
    add_text_rules,
    add_vocabulary,
    add_workers,
    flag_thresholds,
    language_code,
    rule_options,
    shards_place,
    vocabulary_options,
)

if TYPE_CHECKING:
    from shards.errors import SourceError
    from shards.sources.source_rows import SourceRows


EPILOG = """\
examples:
  mms-dist shards build recordings.tsv corpus/ --dry-run
  mms-dist shards build recordings.jsonl corpus/ --workers 16 --max-seconds 20
  mms-dist shards build table.csv corpus/ --lang ron --columns audio=path,text=sentence,speaker=client_id
  mms-dist shards build recordings/ corpus/ --lang ron --dev-fraction 0.05 --test-fraction 0.05
  mms-dist shards build owner/name corpus/ --lang ron
  mms-dist shards build recordings.tsv s3://bucket/corpus

SOURCE may also be a corpus as it is published or a manifest of another toolkit (see docs/data.md; --from help lists
all kinds), or the name of a dataset on the Hugging Face Hub, with a configuration and a revision if they matter:
owner/name:ro_ro@main.

A manifest is a table with a header (.tsv, or .csv with commas, semicolons or bars), has one JSON object per line
(.jsonl), or is parquet. Columns: audio (path relative to the manifest's folder, any format libsndfile reads), text,
lang (ron, ro, pt-BR, ron_Latn, Romanian …: see mms-dist languages); optionally split (train, dev, test), speaker, start
and end (seconds, for segments of a long recording), source, accent, variant, gender, age, domain. Other names are given
with --columns; usual ones are recognised. Utterances without a split are assigned by a hash of their text, so a
sentence is never in two splits, and stays in its split when the corpus grows. An invalid line (missing field, not
UTF-8, invalid language or time) stops the build before it begins; --skip-bad-rows leaves such lines out and counts
them.

A YAML list of several sources (sources.yaml: "- source: PATH" for each, optionally name, from, lang, columns,
audio_root, split_from, channel) becomes one corpus. Each language's part of each source is counted in its index.

A folder contains <lang>/clip.wav and <lang>/clip.txt. A folder named after a split (train, dev, validation, test, eval,
test-clean …) above or below the language's folder sets the split. eval means dev, or test if there is a dev as well.
Links are followed. Unused files are counted by reason: formats that are not read (M4A, AAC, WebM, AMR, G.722, WMA,
WavPack and the sound of videos need PyAV: pip install 'mms-dist[av]'), the same clip in a second format, a transcript
without a recording, a recording without a transcript, hidden and other files.

Running the same command again resumes where it stopped. It skips a language if its source, its options, the lengths of
its tars, samples.parquet and vocab.json are unchanged. --force rebuilds everything, for example if `shards verify`
found damage inside a tar. The bytes of the shards do not depend on --workers.
SHARDS may be a URL such as s3://bucket/corpus (pip install 'mms-dist[s3]'; server and keys from AWS_ENDPOINT_URL,
AWS_PROFILE and so on): finished tars are uploaded one by one, and a language can be read when it is complete.
A language that fails, for example because a recording is missing, stops no other: SHARDS/failed.json lists the
failed ones with the reasons, and the exit status is 1. While it is planned, a source needs up to 1 KiB for each
utterance in the temporary directory (TMPDIR).
Text rules are in shards/text_rules.yaml; --text-rules overrides them."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "build",
        help="build shards from a table, a folder, a published corpus or a dataset on the Hub",
        epilog=EPILOG,
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="manifest, folder, corpus, or owner/name on the Hugging Face Hub"
    )
    parser.add_argument(
        "output", type=shards_place, metavar="SHARDS", help="folder or s3:// URL for <lang>/<split>-000000.tar"
    )
    add_source_kind(parser)
    add_languages(parser, "build only these; if only one is given, rows and files without a language are in it")
    parser.add_argument(
        "--only",
        nargs="+",
        action=TrainingLanguages,
        type=language_code,
        default=[],
        metavar="CODE",
        help="subset of the languages to build now, such as the share of one job array task",
    )
    parser.add_argument("--audio-root", type=Path, metavar="DIR", help="base folder for a manifest's relative paths")
    parser.add_argument(
        "--split-from",
        metavar="TABLE",
        help="use all clips of one table of Common Voice, such as validated, or of one split of a dataset on the Hub, "
        "and split them by speaker; for Common Voice's spontaneous speech: all",
    )
    parser.add_argument(
        "--split-by",
        choices=("sentence", "speaker", "speaker-only"),
        help="place what has no split so that no sentence, no sentence and no speaker, or no speaker is in two splits "
        "(default: sentence; with --split-from: speaker)",
    )
    parser.add_argument(
        "--dev-fraction", type=_fraction, default=0.1, metavar="F", help="fraction of sentences for dev (default: 0.1)"
    )
    parser.add_argument(
        "--test-fraction",
        type=_fraction,
        default=0.1,
        metavar="F",
        help="fraction of sentences for test (default: 0.1)",
    )
    add_length_limits(parser)
    parser.add_argument(
        "--min-score",
        type=_score,
        metavar="SCORE",
        help="leave out utterances whose align_score (see shards align) is below this, such as -2 (default: none)",
    )
    parser.add_argument(
        "--drop-flagged",
        type=_flags,
        default=(),
        metavar="FLAG,…",
        help="leave out utterances with these flags, such as clipped,near_duplicate_audio; all audio is then decoded "
        "twice (`mms-dist shards flag --help` lists the flags; default: none)",
    )
    add_flag_thresholds(parser)
    add_text_rules(parser)
    add_vocabulary(parser)
    parser.add_argument(
        "--channel",
        type=count,
        metavar="N",
        help="use only this channel, from 1, of every recording for which the source names none (default: all, mixed)",
    )
    parser.add_argument("--skip-missing-audio", action="store_true", help="leave out and count missing recordings")
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="leave out invalid manifest rows and transcripts, and count them by reason and line",
    )
    parser.add_argument(
        "--shard-utterances",
        type=count,
        default=1000,
        metavar="N",
        help="maximum number of utterances per tar (default: 1000)",
    )
    parser.add_argument(
        "--shard-mib", type=count, default=256, metavar="N", help="approximate size of a tar in MiB (default: 256)"
    )
    add_workers(parser)
    parser.add_argument("--force", action="store_true", help="rebuild languages even if they are unchanged")
    parser.add_argument("--dry-run", action="store_true", help="show what would be built, but write and decode nothing")
    parser.set_defaults(run_shards=run)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 0 to below 1")
    return value


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number such as -2")
    return value


def _flags(text: str) -> tuple[str, ...]:
    from shards.errors import ShardsError
    from shards.flags.names import NEEDS_OTHERS, check_names

    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    try:
        check_names(names)
    except ShardsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if NEEDS_OTHERS in names:
        raise argparse.ArgumentTypeError(
            f"{NEEDS_OTHERS} needs all languages of the corpus, so a build cannot find it; after the build, run "
            f"`mms-dist shards flag SHARDS`, and leave such utterances out with data.leave_out_flagged"
        )
    return names


def rows_to_build(args: argparse.Namespace, *, kept: Collection[str] | None = None) -> "SourceRows":
    """Return the rows to build, and what else the source holds.

    Args:
        kept: the languages whose rows are needed, the others are only counted; by default, those to build.

    Raises:
        ShardsError: the source cannot be read, or lacks a requested language.
    """
    from shards.errors import SourceError
    from shards.sources.registry import read_source

    language = args.languages[0] if len(args.languages) == 1 else None
    if args.dev_fraction + args.test_fraction >= 1:
        raise SourceError(
            f"--dev-fraction {args.dev_fraction} and --test-fraction {args.test_fraction} leave nothing to train on",
            fix="lower them so that their sum is below 1",
        )
    if args.min_seconds > args.max_seconds:
        raise SourceError(f"--min-seconds {args.min_seconds} is above --max-seconds {args.max_seconds}")
    rows = read_source(
        args.source,
        kind=args.kind,
        language=language,
        audio_root=args.audio_root,
        skip=args.output if isinstance(args.output, Path) else None,
        columns=args.columns,
        split_from=args.split_from,
        wanted=args.languages or args.only,
        channel=args.channel,
        skip_bad_rows=args.skip_bad_rows,
        kept=(args.only or args.languages or None) if kept is None else kept,
    )
    if not rows.languages:
        first = next(iter(rows.left_out), None)
        example = "" if first is None else f", only what is left out, the first: {first.drop.example}"
        raise SourceError(f"{args.source} has no utterances{example}")
    # --only comes second: a single language in it does not apply to rows that name none.
    for flag, codes in (("--lang", args.languages), ("--only", args.only)):
        found = sorted(rows.languages)
        for code in codes:
            if code not in found:
                raise _not_in_source(f"{flag} {code}", code, args.source, found)
        rows = rows.of_languages(codes) if codes else rows
    return rows


def _not_in_source(flag: str, code: str, source: str, found: list[str]) -> "SourceError":
    from shards.errors import SourceError
    from shards.languages import LanguageError, resolve_language
    from shards.wording import nearest

    message = f"{flag}: not in {source}{nearest(code, found)}; it has {', '.join(found)}"
    try:
        resolve_language(code)
    except LanguageError as error:
        return SourceError(f"{message}; {error.found}", error.fix)
    return SourceError(message)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    from shards.build.corpus import build_shards, is_built
    from shards.build.language_build import BuildOptions
    from shards.build.plan import plan_languages
    from shards.display.build_report import (
        built_languages_table,
        plans_table,
        print_failed,
        print_language_notes,
        print_left_out,
        print_outside_vocabulary,
        print_sources,
        print_unknown_lengths,
    )
    from shards.display.current_work import at_work
    from shards.display.flag_report import print_flags
    from shards.display.group_report import print_split_problems
    from shards.display.progress import BuildDisplay, WorkProgress
    from shards.display.terminal import make_console, say
    from shards.errors import failure_of
    from shards.flags.names import FlagOptions
    from shards.index import ShardIndex
    from shards.index.failures import FAILURES_NAME
    from shards.limits import Limits
    from shards.split_checks import all_split_problems
    from shards.storage import join

    vocabulary = vocabulary_options(args)
    with at_work(f"reading {args.source}") as at:
        rows = rows_to_build(args)
        at.describe("placing utterances in splits")
        plans = plan_languages(
            rows,
            dev_fraction=args.dev_fraction,
            test_fraction=args.test_fraction,
            split_by=args.split_by or ("speaker" if args.split_from else "sentence"),
            text_rules=rule_options(args),
            skip_missing_audio=args.skip_missing_audio,
            min_score=args.min_score,
        )
    options = BuildOptions(
        Limits(min_seconds=args.min_seconds, max_seconds=args.max_seconds),
        shard_utterances=args.shard_utterances,
        shard_bytes=args.shard_mib << 20,
        vocabulary=vocabulary,
        flags=FlagOptions(flag_thresholds(args), args.drop_flagged),
    )
    console = make_console()
    say(console, f"source: {rows.kind}" if args.kind else f"source: {rows.kind} (recognised; --from overrules)")
    print_language_notes(console, plans.totals)
    if args.dry_run:
        if len(plans):
            states = ((plan, not args.force and is_built(plan, args.output, options)) for plan in plans)
            console.print(plans_table(states, console.width))
            print_left_out(console, plans.drops, rows)
        if plans.failed:
            raise failure_of(plans.failed, others=len(plans))
        return 0
    if len(plans):
        print_failed(console, plans.failed)  # now, and not after hours
    passes = 2 if args.drop_flagged else 1
    totals = {code: passes * count for code, count in plans.totals.items()}
    with WorkProgress(console, sum(totals.values()), "utterances") as work:
        display = BuildDisplay(console, work, totals)
        report = build_shards(plans, args.output, options, workers=args.workers, force=args.force, progress=display)
    if report.indexes:
        console.print(built_languages_table(report.indexes, console.width))
        print_sources(console, report.indexes)
    print_left_out(console, {code: index["drops"] for code, index in report.indexes.items()}, rows)
    print_flags(console, {code: index.get("flags") for code, index in report.indexes.items()}, examples=False)
    print_outside_vocabulary(console, report.indexes)
    print_unknown_lengths(console, report.indexes)
    built = ShardIndex.load(str(args.output), list(report.indexes)) if report.indexes else None
    if built is not None:
        print_split_problems(console, all_split_problems(built))
    if report.failed:
        say(console, f"languages that failed, with the reasons: {join(str(args.output), FAILURES_NAME)}")
        raise failure_of(report.failed, others=len(report.indexes))
    say(console, f"inspect them: mms-dist shards inspect {args.output}")
    return 0
