"""`mms-dist shards`: build shards from recordings and transcripts, and index, verify and inspect them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import Languages, count, positive

if TYPE_CHECKING:
    from shards.sources.rows import SourceRows

DESCRIPTION = "Turn recordings and transcripts into WebDataset shards with an index, and verify and inspect them."

EPILOG = """\
examples:
  mms-dist shards build recordings.tsv corpus/        from a manifest: audio, text, lang and optional columns
  mms-dist shards build recordings/ corpus/           from recordings/<lang>/clip.wav and clip.txt
  mms-dist shards index corpus/                       index tars that have no index
  mms-dist shards verify corpus/                      checksums, every sample, splits
  mms-dist shards inspect corpus/ --lang ron          hours, lengths, vocabulary, left-out utterances

Run `mms-dist shards COMMAND --help` for help on a command.
Exit status: 0 done, 1 partial failure (`build`: a language; `verify`: something in the shards), 2 invalid input."""

BUILD_EPILOG = """\
examples:
  mms-dist shards build recordings.tsv corpus/ --dry-run
  mms-dist shards build recordings.jsonl corpus/ --workers 16 --max-seconds 20
  mms-dist shards build recordings/ corpus/ --lang ron --dev-fraction 0.05 --test-fraction 0.05

A manifest is tab-separated with a header, or has one JSON object per line. Columns: audio (path relative to the
manifest's folder, any format libsndfile reads), text, lang (ISO 639-3, such as ron or srp-script_latin); optionally
split (train, dev, test), speaker, start and end (seconds, for segments of a long recording), source. Utterances without
a split are assigned by a hash of their text, so no sentence is in two splits and none moves when the corpus grows. An
invalid line (missing field, not UTF-8, invalid language or time) stops the build before it begins; --skip-bad-rows
leaves such lines out and counts them.

A folder holds <lang>/clip.wav and <lang>/clip.txt. A folder named after a split (train, dev, validation, test, eval,
test-clean …) above or below the language's folder sets the split. eval means dev, or test if there is a dev as well.
Links are followed. Unused files are counted by reason: unsupported audio formats (convert .m4a, for example, with
ffmpeg -i clip.m4a clip.flac), the same clip in a second format, transcripts or recordings without a partner, hidden and
other files.

Running the same command again resumes where it stopped and skips what is unchanged: the source, the options, the length
of every tar, the bytes of samples.parquet and vocab.json. --force rebuilds everything, for example if `shards verify`
found damage inside a tar. The bytes of the shards do not depend on --workers.
Text rules are in shards/text_rules.yaml; --text-rules overrides them."""

INDEX_EPILOG = """\
examples:
  mms-dist shards index corpus/                                    every corpus/<lang>/*.tar without an index.json
  mms-dist shards index corpus/ --text-field sentence              the transcript is "sentence" in each sample's .json
  mms-dist shards index corpus/ 's3://bucket/ron-{000..063}.tar' --lang ron --split train
  mms-dist shards index corpus/ 'pipe:ssh store cat /ron/dev.tar' --lang ron --split dev

The tars hold audio (flac, wav, mp3, ogg, opus …) and a transcript (.json or .txt) per sample. They are not changed:
audio at other rates is resampled, and text is normalised, whenever they are read. Audio below 8 kHz is left out. Splits
come from the names of the tars (train-000.tar, dev.tar, val-3.tar), unless --split is given."""


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
    _add_build(commands)
    _add_index(commands)
    _add_verify(commands)
    _add_inspect(commands)
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    status: int = args.run_shards(args)
    return status


def _add(commands: Any, name: str, *, help: str, epilog: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def _add_build(commands: Any) -> None:
    parser = _add(commands, "build", help="build shards from a manifest or a folder of recordings", epilog=BUILD_EPILOG)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="manifest (.tsv, .jsonl) or folder")
    parser.add_argument("output", type=Path, metavar="SHARDS", help="folder for <lang>/<split>-000000.tar")
    parser.add_argument(
        "--from",
        dest="kind",
        metavar="NAME",
        help="kind of source, such as manifest or folder; an unknown name lists all (default: recognised)",
    )
    _add_languages(parser, "build only these; a single one is also the language of rows or files that name none")
    parser.add_argument(
        "--only",
        nargs="+",
        action=Languages,
        type=_no_path,
        default=[],
        metavar="CODE",
        help="subset of these languages to build now, such as the share of one job array task",
    )
    parser.add_argument("--audio-root", type=Path, metavar="DIR", help="base folder for a manifest's relative paths")
    parser.add_argument(
        "--dev-fraction", type=_fraction, default=0.1, metavar="F", help="fraction of sentences for dev (default 0.1)"
    )
    parser.add_argument(
        "--test-fraction", type=_fraction, default=0.1, metavar="F", help="fraction of sentences for test (default 0.1)"
    )
    _add_length_limits(parser)
    parser.add_argument("--text-rules", type=Path, metavar="FILE", help="YAML that overrides shards/text_rules.yaml")
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
        help="maximum number of utterances per tar (default 1000)",
    )
    parser.add_argument(
        "--shard-mib", type=count, default=256, metavar="N", help="approximate size of a tar in MiB (default 256)"
    )
    _add_workers(parser)
    parser.add_argument("--force", action="store_true", help="rebuild languages even if they are unchanged")
    parser.add_argument("--dry-run", action="store_true", help="show what would be built, but write and decode nothing")
    parser.set_defaults(run_shards=_build)


def _add_index(commands: Any) -> None:
    parser = _add(commands, "index", help="index WebDataset tars from other tools", epilog=INDEX_EPILOG)
    parser.add_argument("shards", type=Path, metavar="SHARDS", help="folder to write <lang>/index.json in")
    parser.add_argument("tars", nargs="*", metavar="TAR", help="paths, URLs or pipe:commands; {000..063} is expanded")
    _add_languages(parser, "the language of the given TARs; without TARs, index only these (default: all)")
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
    _add_length_limits(parser)
    parser.add_argument("--force", action="store_true", help="replace existing indexes")
    _add_workers(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be indexed, but write nothing")
    parser.set_defaults(run_shards=_index)


def _add_verify(commands: Any) -> None:
    parser = _add(commands, "verify", help="check checksums, every sample, label lengths and splits")
    _add_shards_and_languages(parser)
    _add_workers(parser)
    parser.set_defaults(run_shards=_verify)


def _add_inspect(commands: Any) -> None:
    parser = _add(commands, "inspect", help="show hours, lengths, vocabulary and left-out utterances")
    _add_shards_and_languages(parser)
    parser.set_defaults(run_shards=_inspect)


def _add_shards_and_languages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", metavar="SHARDS", help="folder or URL with <lang>/index.json")
    _add_languages(parser, "only these languages")


def _add_length_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-seconds", type=positive, default=0.3, metavar="S", help="leave out shorter utterances (default 0.3)"
    )
    parser.add_argument(
        "--max-seconds", type=positive, default=30.0, metavar="S", help="leave out longer utterances (default 30)"
    )


def _add_languages(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument(
        "--lang",
        "--languages",
        dest="languages",
        nargs="+",
        action=Languages,
        type=_no_path,
        default=[],
        metavar="CODE",
        help=f"{help}; for example ron ita or ron,ita",
    )


def _no_path(text: str) -> str:
    if "/" in text or os.path.isfile(text):  # meant as SOURCE or SHARDS
        raise argparse.ArgumentTypeError(f"found {text!r}, expected language codes; write paths before --lang")
    return text


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=count, default=os.cpu_count() or 1, metavar="N", help="processes (default: number of cores)"
    )


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number from 0 to below 1")
    return value


def rows_to_build(args: argparse.Namespace) -> SourceRows:
    """Return the rows to build, and what else the source holds.

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
        skip=args.output,
        skip_bad_rows=args.skip_bad_rows,
    )
    # --only comes second: a single language in it does not apply to rows that name none.
    for flag, codes in (("--lang", args.languages), ("--only", args.only)):
        found = sorted(rows.languages)
        for code in codes:
            if code not in found:
                raise SourceError(_not_in_source(f"{flag} {code}", code, args.source, found))
        rows = rows.of_languages(codes) if codes else rows
    return rows


def _not_in_source(flag: str, code: str, source: Path, found: list[str]) -> str:
    from shards.errors import ShardsError
    from shards.languages import parse_language
    from shards.wording import nearest

    message = f"{flag}: not in {source}{nearest(code, found)}; it has {', '.join(found)}"
    try:
        parse_language(code)
    except ShardsError as error:
        message += f"; {error}"
    return message


def _build(args: argparse.Namespace) -> int:
    from shards.build.corpus import build_shards, is_built
    from shards.build.language_build import BuildOptions
    from shards.build.plan import plan_languages
    from shards.display.build_report import languages_table, plans_table, print_left_out, print_unknown_lengths
    from shards.display.progress import BuildDisplay, WorkProgress
    from shards.display.terminal import make_console, say
    from shards.errors import IncompleteBuildError, SourceError
    from shards.limits import Limits

    rows = rows_to_build(args)
    plans = plan_languages(
        rows,
        dev_fraction=args.dev_fraction,
        test_fraction=args.test_fraction,
        text_rules=args.text_rules,
        skip_missing_audio=args.skip_missing_audio,
    )
    options = BuildOptions(
        Limits(min_seconds=args.min_seconds, max_seconds=args.max_seconds),
        shard_utterances=args.shard_utterances,
        shard_bytes=args.shard_mib << 20,
    )
    console = make_console()
    say(console, f"source: {rows.kind}" if args.kind else f"source: {rows.kind} (recognised; --from overrules)")
    if args.dry_run:
        built = {plan.language for plan in plans if not args.force and is_built(plan, args.output, options)}
        console.print(plans_table(plans, built, console.width))
        print_left_out(console, {plan.language: plan.drops.as_dict() for plan in plans}, rows)
        return 0
    totals = {plan.language: plan.total for plan in plans}
    with WorkProgress(console, sum(totals.values()), "utterances") as work:
        display = BuildDisplay(console, work, totals)
        report = build_shards(plans, args.output, options, workers=args.workers, force=args.force, progress=display)
    if report.indexes:
        console.print(languages_table(report.indexes, console.width))
    print_left_out(console, {code: index["drops"] for code, index in report.indexes.items()}, rows)
    print_unknown_lengths(console, report.indexes)
    if report.failed:
        failed = "; ".join(report.failed.values())
        raise IncompleteBuildError(failed) if report.indexes else SourceError(failed)
    say(console, f"inspect them: mms-dist shards inspect {args.output}")
    return 0


def _index(args: argparse.Namespace) -> int:
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


def _verify(args: argparse.Namespace) -> int:
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.verify import verify_shards
    from shards.wording import counted

    console = make_console()
    with WorkProgress(console, 0, "utterances") as work:
        findings = verify_shards(
            args.shards, args.languages or None, workers=args.workers, advance=work.advance, begin=work.begin
        )
    wrong = 0
    for found in findings:
        for problem in found.problems:
            say(console, f"{found.language}: WRONG: {problem}")
        if found.fix:
            say(console, f"{found.language}: fix: {found.fix}")
        for note in found.notes:
            say(console, f"{found.language}: note: {note}")
        state = counted(len(found.problems), "problem") if found.problems else "sound"
        read = counted(found.utterances, "utterance")
        if found.utterances < found.expected:
            read = f"{found.utterances:,} of {counted(found.expected, 'utterance')}"
        say(console, f"{found.language}: {read} read, {state}")
        wrong += len(found.problems)
    languages = counted(len(findings), "language")
    say(console, f"{counted(wrong, 'problem')} in {languages}" if wrong else f"all sound: {languages}")
    return 1 if wrong else 0


def _inspect(args: argparse.Namespace) -> int:
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
