"""`mms-dist shards inspect`: show the contents of the shards, or of their transcripts."""

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.commands.shards.options import (
    add_command,
    add_languages,
    add_source_kind,
    add_text_rules,
    rule_options,
)
from launcher.console import print_json

if TYPE_CHECKING:
    from shards.index import ShardIndex
    from shards.near_texts import NearTexts

EPILOG = """\
examples:
  mms-dist shards inspect corpus/
  mms-dist shards inspect corpus/ --lang ron              its characters, speakers, sources and tags, too
  mms-dist shards inspect corpus/ --plot corpus.png       hours of speakers and sources, lengths, flags
  mms-dist shards inspect corpus/ --leaks                 sentences of dev and test that are, or nearly are, in train
  mms-dist shards inspect --text corpus/
  mms-dist shards inspect --text recordings.tsv           before anything is built
  mms-dist shards inspect --text recordings.tsv --text-rules my-rules.yaml

--text reads the transcripts as they were before normalisation, and shows for each language which characters become
text, spaces or nothing, which cost their transcript, rare ones, scripts that are mixed, letters that look like others,
numbers, and suspicious lengths. It ends with rules to paste into a file for --text-rules. Of shards, only what was not
left out can be read; of a source, everything that `shards build` reads without --split-from (of Common Voice, the
tables train, dev and test). To read another table, name it with split_from in a YAML list of sources."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = add_command(
        commands,
        "inspect",
        help="show hours, speakers, sources, splits, lengths and left-out utterances, or transcripts",
        epilog=EPILOG,
    )
    parser.add_argument(
        "shards",
        metavar="SHARDS",
        help="folder or URL with <lang>/index.json; with --text also what `shards build` reads",
    )
    add_languages(parser, "only these languages")
    parser.add_argument("--text", action="store_true", help="inspect the transcripts, and suggest text rules")
    parser.add_argument(
        "--leaks", action="store_true", help="read all transcripts, and look for sentences of dev and test in train"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw speakers, sources, lengths and flags: PNG, PDF or SVG"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_source_kind(parser)
    add_text_rules(parser)
    parser.set_defaults(run_shards=run)


def run(args: argparse.Namespace) -> int:
    """Run the subcommand and return the exit status."""
    return _inspect_text(args) if args.text else _inspect_shards(args)


def _inspect_text(args: argparse.Namespace) -> int:
    from shards.display.current_work import at_work
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console
    from shards.display.text_report import print_suggestions, print_survey, survey_as_dict
    from shards.index import ShardIndex
    from shards.inspect_text import holds_shards, survey_shards, survey_source
    from shards.sources.registry import read_source
    from shards.splits import SPLITS
    from shards.text_rules import load_rules

    console = make_console()
    rules_of = partial(load_rules, options=rule_options(args))
    if args.kind is None and holds_shards(args.shards):
        index = ShardIndex.load(args.shards, args.languages or None)
        total = sum(index.language(code).utterances(split) for code in index.languages for split in SPLITS)
        with WorkProgress(make_console(stderr=True), total, "transcripts") as work:
            surveys = list(survey_shards(index, rules_of, work.advance))
    else:
        language = args.languages[0] if len(args.languages) == 1 else None
        with at_work(f"reading the texts of {args.shards}"):
            rows = read_source(args.shards, kind=args.kind, language=language, columns=args.columns, skip_bad_rows=True)
            surveys = survey_source(rows.of_languages(args.languages) if args.languages else rows, rules_of)
    if args.json:
        print_json([survey_as_dict(survey) for survey in surveys])
        return 0
    for survey in surveys:
        print_survey(console, survey)
    print_suggestions(console, surveys)
    return 0


def _inspect_shards(args: argparse.Namespace) -> int:
    import numpy as np

    from shards.display.build_report import (
        print_drops,
        print_outside_vocabulary,
        print_sources,
        print_unknown_lengths,
    )
    from shards.display.current_work import at_work
    from shards.display.flag_report import print_flags
    from shards.display.group_report import (
        print_group_hours,
        print_groups,
        print_leaks,
        print_scores,
        print_split_problems,
    )
    from shards.display.plot import plot_shards
    from shards.display.summary import duration_histogram, summary_table, vocabulary_lines
    from shards.display.terminal import make_console, say
    from shards.index import ShardIndex
    from shards.inspect_shards import LanguageFacts, facts_of

    console = make_console()
    with at_work(f"reading the indexes of {args.shards}") as at:
        index = ShardIndex.load(args.shards, args.languages or None)
        facts: list[LanguageFacts] = []
        for code in index.languages:
            at.describe(f"reading the table of {code}, {len(facts):,} of {len(index.languages):,} languages done")
            facts.append(facts_of(index.language(code)))
    leaks = {code: _leaks(index, code) for code in index.languages} if args.leaks else {}
    if args.plot is not None:
        plot_shards(facts, args.plot, title=f"Shards in {index.root}")
    if args.json:
        print_json([each.as_dict() | _plain(leaks.get(each.language)) for each in facts])
        return 0
    console.print(summary_table(index, console.width))
    contents = {code: index.language(code).content for code in index.languages}
    print_sources(console, contents)
    print_groups(console, facts)
    print_scores(console, facts)
    print_split_problems(console, [problem for each in facts for problem in each.split_problems])
    for code, found in leaks.items():
        print_leaks(console, code, found)
    print_flags(console, {each.language: each.flags for each in facts}, examples=bool(args.languages))
    print_drops(console, {code: content["drops"] for code, content in contents.items()})
    print_outside_vocabulary(console, contents)
    print_unknown_lengths(console, contents)
    if args.languages:
        for each in facts:
            print_group_hours(console, each)
        console.print("characters")
        for line in vocabulary_lines(index, index.languages):
            console.print(f"  {line}")
    console.print("lengths of utterances")
    for line in duration_histogram(np.concatenate([each.durations for each in facts])):
        console.print(f"  {line}")
    if args.plot is not None:
        say(console, f"drawn: {args.plot}")
    return 0


def _leaks(index: "ShardIndex", code: str) -> "dict[str, tuple[int, list[NearTexts]]]":
    from shards.display.progress import WorkProgress
    from shards.display.terminal import make_console
    from shards.inspect_shards import leaks_of
    from shards.splits import SPLITS

    total = sum(index.language(code).utterances(split) for split in SPLITS)
    with WorkProgress(make_console(stderr=True), total, f"transcripts of {code}") as work:
        return leaks_of(index, code, work.advance)


def _plain(leaks: "dict[str, tuple[int, list[NearTexts]]] | None") -> dict[str, Any]:
    if leaks is None:
        return {}
    found = {split: {"equal": equal, "near": [asdict(pair) for pair in near]} for split, (equal, near) in leaks.items()}
    return {"leaks": found}
