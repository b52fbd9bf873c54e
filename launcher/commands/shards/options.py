"""Options that several subcommands of `mms-dist shards` share."""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.arguments import Languages, count, positive, usable_cores

if TYPE_CHECKING:
    from shards.text_rules import RuleOptions
    from shards.vocabulary_choice import VocabularyOptions


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


def shards_place(text: str) -> Path | str:
    """Parse SHARDS of a subcommand that writes there: a folder, or the URL of a place on a remote file system."""
    from shards.storage import is_url, local_path

    local = local_path(text)
    if local is None and (text.startswith(("pipe:", "http:", "https:")) or not is_url(text)):
        raise argparse.ArgumentTypeError(f"nothing can be written to {text}; give a folder or a URL such as s3://…")
    return text.rstrip("/") if local is None else local


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
        action=TrainingLanguages,
        type=language_code,
        default=[],
        metavar="CODE",
        help=f"{help}; for example ron ita or ron,ita",
    )


class TrainingLanguages(Languages):
    """Store the training codes of languages written in any way, such as `ro` or `pt-BR`.

    A word that is no language is kept: the command then says what there is.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the codes."""
        from shards.languages import LanguageError, resolve_language

        super().__call__(parser, namespace, values, option_string)
        codes: list[str] = []
        for written in getattr(namespace, self.dest):
            try:
                codes.append(resolve_language(written))
            except LanguageError as error:
                if error.candidates:
                    parser.error(f"{option_string}: {error}")
                codes.append(written)
        setattr(namespace, self.dest, list(dict.fromkeys(codes)))


def language_code(text: str) -> str:
    """Parse one word of `--lang`: SOURCE or SHARDS after it would be taken for a code."""
    if "/" in text or os.path.isfile(text):  # meant as SOURCE or SHARDS
        raise argparse.ArgumentTypeError(f"found {text!r}, expected language codes; write paths before --lang")
    return text


def add_source_kind(parser: argparse.ArgumentParser) -> None:
    """Add how a source is read: its kind, and the columns of a table."""
    parser.add_argument(
        "--from",
        dest="kind",
        metavar="NAME",
        help="kind of source, such as manifest or folder; an unknown name lists all (default: detected)",
    )
    parser.add_argument(
        "--columns",
        type=_columns,
        metavar="NAME=COLUMN,…",
        help="what a table's columns hold, for example audio=path,text=sentence,speaker=client_id (default: detected)",
    )


def _columns(text: str) -> dict[str, str]:
    from shards.errors import SourceError
    from shards.sources.manifest_columns import parse_columns

    try:
        return parse_columns(text)
    except SourceError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_text_rules(parser: argparse.ArgumentParser) -> None:
    """Add the options for how transcripts become training text; `rule_options` reads them."""
    parser.add_argument("--text-rules", metavar="FILE", help="YAML that overrides shards/text_rules.yaml")
    parser.add_argument(
        "--keep",
        type=_kept,
        default=(),
        metavar="WHAT",
        help="keep punctuation, case or both (punctuation,case) in the text (default: neither)",
    )
    parser.add_argument(
        "--markup",
        choices=("drop", "remove"),
        help="text in brackets, such as [noise]: drop the utterance, or remove the brackets with what is in them "
        "(default: drop)",
    )


def _kept(text: str) -> tuple[str, ...]:
    from shards.text_rules import KEPT
    from shards.wording import nearest

    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    unknown = next((name for name in names if name not in KEPT), "" if names else text)
    if unknown or not names:
        expected = f"expected {', '.join(KEPT)} or both, separated by a comma"
        raise argparse.ArgumentTypeError(f"found {unknown!r}{nearest(unknown, KEPT)}, {expected}")
    return names


def rule_options(args: argparse.Namespace) -> "RuleOptions":
    """Return what `add_text_rules` was given."""
    from shards.text_rules import RuleOptions

    return RuleOptions(args.text_rules, args.keep, args.markup)


def add_vocabulary(parser: argparse.ArgumentParser) -> None:
    """Add the options for which characters a language's vocabulary has; `vocabulary_options` reads them."""
    parser.add_argument(
        "--vocabulary",
        metavar="PATH",
        help="use the characters of this vocab.json, or folder with one: of MMS's adapters, an export, other shards",
    )
    parser.add_argument(
        "--min-count",
        type=count,
        metavar="N",
        help="leave out characters that occur fewer times in the training text (default: 1)",
    )
    parser.add_argument(
        "--max-characters", type=count, metavar="N", help="use the most frequent characters only (default: all)"
    )
    parser.add_argument(
        "--outside-vocabulary",
        choices=("map", "remove", "unknown"),
        default="map",
        help="characters of the training text that are not in the vocabulary: map them to another form of the letter "
        "that is (é to e) and remove the rest, remove all, or train <unk> (default: map)",
    )


def vocabulary_options(args: argparse.Namespace) -> "VocabularyOptions":
    """Return what `add_vocabulary` was given.

    Raises:
        ShardsError: the vocabulary is given and is to be chosen, too.
    """
    from shards.errors import ShardsError
    from shards.vocabulary_choice import GivenVocabulary, VocabularyOptions

    if args.vocabulary and (args.min_count or args.max_characters):
        raise ShardsError(
            "--vocabulary gives all characters, so --min-count and --max-characters have no effect",
            fix="leave one of them out",
        )
    given = GivenVocabulary(args.vocabulary) if args.vocabulary else None
    if given:
        given.check()
    return VocabularyOptions(args.min_count or 1, args.max_characters, given, args.outside_vocabulary)


def add_flag_thresholds(parser: argparse.ArgumentParser) -> None:
    """Add the thresholds of flags; `flag_thresholds` reads them."""
    parser.add_argument(
        "--threshold",
        dest="thresholds",
        nargs="+",
        action="extend",
        type=_threshold,
        default=[],
        metavar="FLAG=VALUE",
        help="flag from this value on, for example clipped=0.01 (`mms-dist shards flag --help` lists the defaults)",
    )


def _threshold(text: str) -> tuple[str, float]:
    from shards.errors import ShardsError
    from shards.flags.names import check_names

    name, _, value = text.partition("=")
    try:
        check_names([name])
        number = float(value)
    except ShardsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected FLAG=VALUE with a number above 0")
    return name, number


def flag_thresholds(args: argparse.Namespace) -> dict[str, float]:
    """Return what `add_flag_thresholds` was given."""
    return dict(args.thresholds)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    parser.add_argument(
        "--workers",
        type=count,
        default=usable_cores(),
        metavar="N",
        help="processes (default: number of cores that may be used)",
    )
