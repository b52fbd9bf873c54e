"""`mms-dist shards`: recordings and transcripts to shards, and a look at what is in them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shards.plan import LanguagePlan

DESCRIPTION = "Turn recordings and transcripts into WebDataset shards with an index, and look into them."

EPILOG = """\
examples:
  mms-dist shards build corpus.tsv shards/            from a manifest: audio, text, lang, and optionally more
  mms-dist shards build recordings/ shards/           from recordings/<lang>/clip.wav with clip.txt beside it
  mms-dist shards index shards/                       index tars that have none
  mms-dist shards verify shards/                      sums, every sample, splits
  mms-dist shards inspect shards/ --lang ron          hours, lengths, vocabulary, what was left out

`mms-dist shards COMMAND --help` explains each.
Exit status: 0 done, 1 `verify` found something wrong in the shards, 2 wrong input."""

BUILD_EPILOG = """\
examples:
  mms-dist shards build corpus.tsv shards/ --dry-run
  mms-dist shards build corpus.jsonl shards/ --workers 16 --max-seconds 20
  mms-dist shards build recordings/ shards/ --lang ron --dev-fraction 0.05 --test-fraction 0.05

A manifest is tab-separated with a header, or one JSON object a line. Columns: audio (path from the manifest's folder,
any format libsndfile reads), text, lang (ISO 639-3, as ron or srp-script_latin); optionally split (train, dev, test),
speaker, start and end (seconds; segments of a long recording), source. Utterances without a split are placed by a hash
of their text: no sentence is in two splits, and none moves when the corpus grows.

Running the same command again goes on where it stopped and leaves alone what has not changed. The bytes of the shards
do not depend on --workers. Text rules are in shards/text_rules.yaml; --text-rules lays your own over them."""

INDEX_EPILOG = """\
examples:
  mms-dist shards index shards/                                    every shards/<lang>/*.tar without an index.json
  mms-dist shards index shards/ --text-field sentence              the transcript is "sentence" in each sample's .json
  mms-dist shards index shards/ 's3://bucket/ron-{000..063}.tar' --lang ron --split train
  mms-dist shards index shards/ 'pipe:ssh store cat /ron/dev.tar' --lang ron --split dev

The tars hold audio (flac, wav, mp3, ogg, opus …) and a transcript (.json or .txt) per sample. They are not changed;
audio of another rate is resampled, and text normalised, whenever it is read. Splits come from names (train-000.tar,
dev.tar, val-3.tar) unless --split says otherwise."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add `shards` and its own commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "shards",
        help="recordings and transcripts to WebDataset shards; verify and inspect them",
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
    """Run one of the commands; returns the exit status."""
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
    parser.add_argument("--lang", metavar="CODE", help="language of all of it, if the source does not say")
    parser.add_argument("--languages", nargs="+", metavar="CODE", help="build these only")
    parser.add_argument("--audio-root", type=Path, metavar="DIR", help="where relative audio paths of a manifest start")
    parser.add_argument("--dev-fraction", type=_fraction, default=0.1, metavar="F", help="of sentences (default 0.1)")
    parser.add_argument("--test-fraction", type=_fraction, default=0.1, metavar="F", help="of sentences (default 0.1)")
    parser.add_argument(
        "--min-seconds", type=_positive, default=0.3, metavar="S", help="leave out shorter (default 0.3)"
    )
    parser.add_argument(
        "--max-seconds", type=_positive, default=30.0, metavar="S", help="leave out longer (default 30)"
    )
    parser.add_argument("--text-rules", type=Path, metavar="FILE", help="YAML laid over shards/text_rules.yaml")
    parser.add_argument("--skip-missing-audio", action="store_true", help="leave out and count missing recordings")
    parser.add_argument("--shard-utterances", type=_count, default=1000, metavar="N", help="per tar (default 1000)")
    parser.add_argument("--shard-mib", type=_count, default=256, metavar="N", help="per tar, about (default 256)")
    _add_workers(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be built; write and decode nothing")
    parser.set_defaults(run_shards=_build)


def _add_index(commands: Any) -> None:
    parser = _add(commands, "index", help="index WebDataset tars that were made elsewhere", epilog=INDEX_EPILOG)
    parser.add_argument("shards", type=Path, metavar="SHARDS", help="folder whose <lang>/index.json is written")
    parser.add_argument("tars", nargs="*", metavar="TAR", help="paths, URLs or pipe:commands; {000..063} is expanded")
    parser.add_argument("--lang", metavar="CODE", help="language of the tars (default: their folder's name)")
    parser.add_argument("--split", choices=("train", "dev", "test"), help="of all of them (default: from their names)")
    parser.add_argument(
        "--text-field", metavar="NAME", help="of the .json (default: text, sentence, transcript … or .txt)"
    )
    parser.add_argument("--text-rules", type=Path, metavar="FILE", help="YAML laid over shards/text_rules.yaml")
    parser.add_argument("--keep-text", action="store_true", help="the text is normalised already: take it as it is")
    parser.add_argument(
        "--min-seconds", type=_positive, default=0.3, metavar="S", help="leave out shorter (default 0.3)"
    )
    parser.add_argument(
        "--max-seconds", type=_positive, default=30.0, metavar="S", help="leave out longer (default 30)"
    )
    parser.add_argument("--force", action="store_true", help="index again what has an index")
    _add_workers(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would be indexed; write nothing")
    parser.set_defaults(run_shards=_index)


def _add_verify(commands: Any) -> None:
    parser = _add(commands, "verify", help="check sums, every sample, labels against frames, and splits")
    _add_shards_and_languages(parser)
    _add_workers(parser)
    parser.set_defaults(run_shards=_verify)


def _add_inspect(commands: Any) -> None:
    parser = _add(commands, "inspect", help="show hours, lengths, vocabulary and what was left out")
    _add_shards_and_languages(parser)
    parser.set_defaults(run_shards=_inspect)


def _add_shards_and_languages(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shards", metavar="SHARDS", help="folder or URL with <lang>/index.json")
    parser.add_argument("--lang", nargs="+", metavar="CODE", help="these languages only")


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=_count, default=os.cpu_count() or 1, metavar="N", help="processes (default: cores)"
    )


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 … 1")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _plans(args: argparse.Namespace) -> list[LanguagePlan]:
    from shards.errors import SourceError, nearest
    from shards.manifest import read_manifest
    from shards.plan import plan_languages
    from shards.schema import parse_language
    from shards.sources import read_folder

    language = parse_language(args.lang) if args.lang else None
    if args.dev_fraction + args.test_fraction >= 1:
        raise SourceError("--dev-fraction and --test-fraction leave nothing to train on: their sum must be below 1")
    if args.min_seconds > args.max_seconds:
        raise SourceError(f"--min-seconds {args.min_seconds} is above --max-seconds {args.max_seconds}")
    if args.source.is_dir():
        rows = read_folder(args.source, language=language)
    else:
        rows = read_manifest(args.source, language=language, audio_root=args.audio_root)
    if args.languages:
        found = sorted({row.language for row in rows})
        for code in args.languages:
            if code not in found:
                raise SourceError(
                    f"--languages {code}: not in {args.source}{nearest(code, found)}; it has {', '.join(found)}"
                )
        rows = [row for row in rows if row.language in args.languages]
    return plan_languages(
        rows,
        dev_fraction=args.dev_fraction,
        test_fraction=args.test_fraction,
        text_rules=args.text_rules,
        skip_missing_audio=args.skip_missing_audio,
    )


def _build(args: argparse.Namespace) -> int:
    from shards.build import BuildOptions, build_shards, is_built
    from shards.display import BuildDisplay, WorkProgress, drops_table, languages_table, make_console, plans_table
    from shards.drops import REASONS
    from shards.errors import SourceError
    from shards.limits import Limits

    plans = _plans(args)
    options = BuildOptions(
        Limits(min_seconds=args.min_seconds, max_seconds=args.max_seconds),
        shard_utterances=args.shard_utterances,
        shard_bytes=args.shard_mib << 20,
    )
    console = make_console()
    if args.dry_run:
        built = {plan.language for plan in plans if is_built(plan, args.output, options)}
        console.print(plans_table(plans, built))
        drops = drops_table({plan.language: plan.drops.as_dict() for plan in plans}, REASONS)
        if drops is not None:
            console.print(drops)
        return 0
    totals = {plan.language: plan.total for plan in plans}
    with WorkProgress(console, sum(totals.values()), "utterances") as work:
        report = build_shards(
            plans, args.output, options, workers=args.workers, progress=BuildDisplay(console, work, totals)
        )
    if report.indexes:
        console.print(languages_table(report.indexes))
    drops = drops_table({code: index["drops"] for code, index in report.indexes.items()}, REASONS)
    if drops is not None:
        console.print(drops)
    if report.failed:
        raise SourceError("; ".join(report.failed.values()))
    console.print(f"look into them: mms-dist shards inspect {args.output}")
    return 0


def _index(args: argparse.Namespace) -> int:
    from shards.display import WorkProgress, drops_table, languages_table, make_console
    from shards.drops import REASONS
    from shards.foreign import IndexOptions, find_tars, index_language
    from shards.limits import Limits
    from shards.text_rules import load_rules

    languages = find_tars(args.shards, args.tars, language=args.lang, split=args.split, again=args.force)
    console = make_console()
    if args.dry_run:
        for code, tars in languages.items():
            for tar in tars:
                console.print(f"{code} {tar.split}: {tar.place}")
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
                args.shards / code, code, tars, options, workers=args.workers, advance=work.advance
            )
    if not indexes:
        console.print(f"every language in {args.shards} has an index; --force makes them again")
        return 0
    console.print(languages_table(indexes))
    drops = drops_table({code: index["drops"] for code, index in indexes.items()}, REASONS)
    if drops is not None:
        console.print(drops)
    return 0


def _verify(args: argparse.Namespace) -> int:
    from shards.display import WorkProgress, make_console
    from shards.index import ShardIndex
    from shards.verify import verify_shards

    console = make_console()
    index = ShardIndex.load(args.shards, args.lang)
    total = sum(
        index.language(code).utterances(split) for code in index.languages for split in ("train", "dev", "test")
    )
    with WorkProgress(console, total, "utterances") as work:
        findings = verify_shards(args.shards, args.lang, workers=args.workers, advance=work.advance)
    wrong = 0
    for found in findings:
        for problem in found.problems:
            console.print(f"{found.language}: WRONG: {problem}")
        for note in found.notes:
            console.print(f"{found.language}: note: {note}")
        state = f"{len(found.problems)} problems" if found.problems else "sound"
        console.print(f"{found.language}: {found.utterances:,} utterances read, {state}")
        wrong += len(found.problems)
    console.print(
        f"{wrong} problems in {len(findings)} languages" if wrong else f"all sound: {len(findings)} languages"
    )
    return 1 if wrong else 0


def _inspect(args: argparse.Namespace) -> int:
    import numpy as np

    from shards.display import drops_table, make_console
    from shards.drops import REASONS
    from shards.index import ShardIndex
    from shards.summary import duration_histogram, durations_of, summary_table, vocabulary_lines

    console = make_console()
    index = ShardIndex.load(args.shards, args.lang)
    console.print(summary_table(index))
    drops = drops_table({code: index.language(code).content["drops"] for code in index.languages}, REASONS)
    if drops is not None:
        console.print(drops)
    if args.lang:
        console.print("characters")
        for line in vocabulary_lines(index, index.languages):
            console.print(f"  {line}")
    console.print("lengths of utterances")
    for line in duration_histogram(np.concatenate([durations_of(index.language(code)) for code in index.languages])):
        console.print(f"  {line}")
    return 0
