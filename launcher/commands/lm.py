"""`mms-dist lm`: make language models for decoding."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import count, positive
from launcher.commands.shards.options import add_languages, add_text_rules, rule_options
from launcher.console import print_error, print_json
from mms_dist.errors import DataError, ExitCode

if TYPE_CHECKING:
    from mms_dist.language_model.build import BuiltModel, TextSources

DESCRIPTION = "Make n-gram language models, which `mms-dist eval --lm` decodes with."

BUILD_DESCRIPTION = """\
Make an n-gram model (interpolated modified Kneser-Ney, pruned) of words or characters for every language, from the
training transcripts of shards and from text files. Lines are normalised by the rules of the corpus. Lines that are dev
or test transcripts are left out. A text file of which most words cannot be spelled with the vocabulary of the shards is
refused. Each model is written to SHARDS/<lang>/, or to FOLDER/<lang>/ with --to: lm.arpa.gz, which other tools read,
lm.safetensors, which loads at once, and lm.json, which says how it was made."""

BUILD_EPILOG = """\
examples:
  mms-dist lm build corpus/                                   words, order 4, for every language of the shards
  mms-dist lm build corpus/ --unit char                       characters, order 6: better with little text
  mms-dist lm build corpus/ ron.txt ron.news.txt.gz           more text: one sentence a line, named by language
  mms-dist lm build corpus/ wiki.txt --lang ron --to models/  the language of all text files

exit status: 0 done · 1 a language could not be done · 2 something to fix"""


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "lm",
        help="make language models for decoding",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="make a language model for every language",
        description=BUILD_DESCRIPTION,
        epilog=BUILD_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument("sources", metavar="SHARDS|TEXT", nargs="+", help="shards (one folder or URL) and text files")
    add_languages(
        build, "make only these; a single one is the language of all text files, which otherwise are named LANG.txt"
    )
    build.add_argument("--to", metavar="FOLDER", type=Path, help="write FOLDER/<lang>/ (default: the shards)")
    build.add_argument("--unit", choices=("word", "char"), default="word", help="what is counted (default: word)")
    build.add_argument(
        "--order", metavar="N", type=count, help="longest n-grams, 1 … 6 (default: 4 for words, 6 for characters)"
    )
    build.add_argument(
        "--prune",
        metavar="N",
        type=int,
        nargs="+",
        default=(),
        help="for each order from 1, drop n-grams that occur this often or less, such as 0 0 1 (default: keep all)",
    )
    build.add_argument(
        "--entropy",
        metavar="X",
        type=_zero_or_positive,
        default=1e-8,
        help="drop n-grams whose absence raises the perplexity by less than this part (default: 1e-8; 0: keep all)",
    )
    build.add_argument(
        "--min-word-count", metavar="N", type=count, default=1, help="rarer words are unknown ones (default: 1)"
    )
    add_text_rules(build)
    build.add_argument("--dry-run", action="store_true", help="show what would be made from what, and write nothing")
    build.add_argument("--json", action="store_true", help="print the results as JSON")


def run(args: argparse.Namespace) -> int:
    """Make the models, and print a table."""
    from mms_dist.errors import MmsDistError
    from mms_dist.language_model.build import ModelSettings, build_language_model, check_text_files
    from mms_dist.language_model.text_sources import find_sources
    from shards.display.current_work import at_work
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console, say
    from shards.errors import Problem, ShardsError
    from shards.storage import local_path
    from shards.text_rules import RuleOptions

    remote = [place for place in args.sources if local_path(place) is None]
    if remote and args.to is None:
        raise DataError(
            f"the models cannot be written to {remote[0]}, as language models are read from folders on this machine",
            fix="build with --to FOLDER and pass that folder to --lm",
        )
    rules = rule_options(args)
    with at_work("finding the texts") as at:
        found = find_sources(args.sources, args.languages, rules if rules != RuleOptions() else None)
        for number, (language, sources) in enumerate(found.languages.items()):
            at.describe(f"reading the texts of {language}, {number:,} of {len(found.languages):,} languages done")
            check_text_files(language, sources)
    to = args.to or found.default_folder
    if to is None:
        raise DataError("it is not clear where to write the models", fix="give a folder with --to FOLDER")
    if args.dry_run:
        for language, sources in found.languages.items():
            say(make_console(), f"{to / language}: {_described(sources)}")
        return 0
    settings = ModelSettings(args.order, args.unit, tuple(args.prune), args.entropy, args.min_word_count)
    settings.check()
    console = make_console(stderr=args.json)
    built: list[BuiltModel] = []
    failed: dict[str, Problem] = {}
    with WorkProgress(make_console(stderr=True), len(found.languages), "languages") as work:
        for language, sources in found.languages.items():
            work.describe(language)
            try:
                built.append(build_language_model(language, sources, settings, to))
            except (MmsDistError, ShardsError) as error:
                if len(found.languages) == 1:
                    raise
                failed[language] = error.problem
            else:
                if not args.json and len(found.languages) > 1:
                    say(
                        console, f"{language}: made from {built[-1].sentences:,} sentences in {built[-1].seconds:.1f} s"
                    )
            work.advance()
    if args.json:
        print_json(
            {
                "models": [_as_json(model) for model in built],
                "failed": {language: str(problem) for language, problem in failed.items()},
            }
        )
    elif built:
        _print(built, to, console)
    for language, problem in failed.items():
        print_error(f"error: no model for {language}: {problem}")
    return ExitCode.FAILED if failed else 0


def _zero_or_positive(text: str) -> float:
    return 0.0 if text.strip() == "0" else positive(text)


def _described(sources: "TextSources") -> str:
    parts = [f"train transcripts of {sources.shards}"] if sources.shards else []
    return ", ".join([*parts, *map(str, sources.files)])


def _as_json(model: "BuiltModel") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(model)


def _print(built: "list[BuiltModel]", to: Path, console: Any) -> None:
    from shards.display.build_report import print_drops
    from shards.display.tables import TextColumn, fitting_table
    from shards.display.terminal import say

    columns = [
        TextColumn("language", right=False),
        TextColumn("sentences", rank=2),
        TextColumn("words" if built[0].unit == "word" else "characters", rank=3),
        TextColumn("n-grams", rank=1),
        TextColumn("MB", rank=1),
        TextColumn("perplexity on dev"),
        TextColumn("unknown %", rank=2),
        TextColumn("seconds", rank=4),
    ]
    rows = [
        [
            model.language,
            f"{model.sentences:,}",
            f"{model.words:,}",
            f"{sum(model.ngrams):,}",
            f"{model.files['lm.safetensors'] / 1e6:.1f}",
            f"{model.dev.perplexity:,.1f}" if model.dev else "–",
            f"{100 * model.dev.unknown / model.dev.tokens:.1f}" if model.dev else "–",
            f"{model.seconds:.1f}",
        ]
        for model in built
    ]
    unit = "words" if built[0].unit == "word" else "characters"
    console.print(fitting_table(f"{unit}, order {max(model.order for model in built)}", columns, rows, console.width))
    print_drops(console, {model.language: model.left_out for model in built})
    for spelling in (each for model in built for each in model.spellings if each.unspelled):
        say(console, str(spelling))
    say(console, f"written to {to}; decode with them: mms-dist eval RUN --lm {to} --tune")
