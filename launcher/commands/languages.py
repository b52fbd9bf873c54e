"""`mms-dist languages`: list the languages of MMS and the ways to write them."""

import argparse
from typing import TYPE_CHECKING, Any

from launcher.console import print_json

if TYPE_CHECKING:
    from shards.language_table import Language

DESCRIPTION = """\
List languages: the code that training uses, which is also the name of the adapter that MMS published; the name; the
usual script; other codes and names that corpora may use instead. Without QUERY, all languages of MMS."""

EPILOG = """\
examples:
  mms-dist languages ro            what a code stands for
  mms-dist languages zh            all that it may stand for
  mms-dist languages "kurdish"     all whose name or code contains it, those of ISO 639-3 that MMS lacks included
  mms-dist languages --json > languages.json

exit status: 0 found · 2 no such language"""


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "languages",
        help="list the languages of MMS, their codes, and other ways to write them",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("query", metavar="QUERY", nargs="?", help="a code or name, or a part of a name")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the languages."""
    from shards.language_table import language_table
    from shards.languages import matching_languages, resolve_language

    query = (args.query or "").strip()
    found = matching_languages(query) if query else [one for one in language_table() if one.models]
    if not found:
        resolve_language(query)  # raises with the nearest, unless the code is new but well formed
    if args.json:
        print_json([_as_json(one) for one in found])
        return 0
    _print(query, found)
    return 0


def _as_json(one: "Language") -> dict[str, Any]:
    return {
        "code": one.code,
        "name": one.name,
        "script": one.script or None,
        "macrolanguage": one.macrolanguage or None,
        "aliases": list(one.aliases),
        "adapters": list(one.models),
    }


def _print(query: str, found: "list[Language]") -> None:
    from shards.display.tables import TextColumn, fitting_table
    from shards.display.terminal import make_console, say
    from shards.languages import language_codes, language_note
    from shards.wording import counted

    console = make_console()
    columns = [
        TextColumn("code", right=False),
        TextColumn("name", right=False, folds=True),
        TextColumn("script", right=False),
        TextColumn("also written", right=False, folds=True),
        TextColumn("adapter in", right=False, rank=1),
    ]
    rows = [
        (
            one.code,
            one.name,
            one.script or "–",
            "; ".join(sorted(one.aliases, key=len)),  # codes before names
            ", ".join(repository.partition("/")[2] for repository in one.models),
        )
        for one in found
    ]
    if rows:
        console.print(fitting_table("", columns, rows, console.width))
    codes = language_codes(query) if query else ()
    if len(codes) == 1:
        note = language_note(codes[0])
        say(console, f"{query!r} is read as {codes[0]}" + (f". {note}" if note else ""))
    elif codes:
        say(console, f"{query!r} may be any of {', '.join(codes)}: write the one that is meant")
    else:
        say(console, counted(len(found), "language"))
