"""Progress and tables of the shard commands: live on a terminal, plain lines otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from shards.audio.containers.pyav_formats import INSTALL, pyav_is_installed
from shards.build.candidates import LanguagePlan
from shards.display.tables import TextColumn, fitting_table, rounded_duration
from shards.display.terminal import say
from shards.drops import REASONS
from shards.errors import Problem
from shards.languages import language_note
from shards.sources.source_rows import SourceRows
from shards.wording import counted, elided

NO_LANGUAGE = "(unknown)"
_EXAMPLE_CHARACTERS = 60
_SHOWN_LINES = 20
_SHOWN_FAILED = 20
_SHOWN_NOTES = 3
_SHOWN_CHARACTERS = 12


def built_languages_table(indexes: Mapping[str, Mapping[str, Any]], width: int) -> Table:
    """Table of what was built: a row per language, from the content of each `index.json`."""
    columns = [
        TextColumn("language", right=False),
        *(TextColumn(name) for name in ("train", "dev", "test", "audio")),
        TextColumn("shards", rank=1),
        TextColumn("characters", rank=2),
        TextColumn("speakers", rank=3),
        TextColumn("left out"),
    ]
    rows = []
    for language, index in indexes.items():
        splits = index["splits"]
        rows.append(
            (
                language,
                *(f"{splits[split]['samples']:,}" for split in ("train", "dev", "test")),
                rounded_duration(sum(entry["seconds"] for entry in splits.values())),
                f"{sum(len(entry['shards']) for entry in splits.values()):,}",
                f"{index['vocabulary'] - 5}",
                f"{index['speakers']:,}" if index["speakers"] else "–",
                f"{sum(entry['count'] for entry in index['drops'].values()):,}",
            )
        )
    return fitting_table("Shards", columns, rows, width)


def print_sources(console: Console, indexes: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how much of each language comes from which source. Prints nothing if there was only one."""
    rows = []
    for language, index in indexes.items():
        for name, splits in index.get("sources", {}).items():
            counts = (f"{splits.get(split, {}).get('samples', 0):,}" for split in ("train", "dev", "test"))
            rows.append((language, name, *counts, rounded_duration(sum(entry["seconds"] for entry in splits.values()))))
    if rows:
        columns = [
            TextColumn("language", right=False),
            TextColumn("source", right=False, folds=True),
            *(TextColumn(name) for name in ("train", "dev", "test", "audio")),
        ]
        console.print(fitting_table("Sources", columns, rows, console.width))


def print_drops(console: Console, drops: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print what was left out, by language and reason, and what each reason means. Prints nothing if empty."""
    rows = []
    found: dict[str, str] = {}
    for language, entries in drops.items():
        for reason, entry in entries.items():
            example = elided(entry["examples"][0], _EXAMPLE_CHARACTERS) if entry["examples"] else ""
            rows.append((language, reason, f"{entry['count']:,}", example))
            known = REASONS.get(reason)
            found[reason] = known.meaning if known else "a reason from a later version of mms-dist"
    if not rows:
        return
    columns = [
        TextColumn("language", right=False),
        TextColumn("reason", right=False),
        TextColumn("count"),
        TextColumn("example", right=False, folds=True),
    ]
    console.print(fitting_table("Left out", columns, rows, console.width))
    for reason, meaning in found.items():
        say(console, f"  {reason}: {meaning}")


def print_left_out(console: Console, drops: Mapping[str, Mapping[str, Mapping[str, Any]]], rows: SourceRows) -> None:
    """Print what a build left out, with and without a known language, and the notes about the source."""
    of_no_language = rows.drops().get(None)
    unknown = {NO_LANGUAGE: of_no_language.as_dict()} if of_no_language else {}
    print_drops(console, {**drops, **unknown})
    if of_no_language:
        say(console, f"  {NO_LANGUAGE}: {of_no_language.total:,} left out whose language is unknown")
    lines: dict[tuple[str, str], list[int]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    kinds: Counter[str] = Counter()
    for item in rows.left_out:
        if item.line is not None:
            reason_and_file = item.drop.reason, item.drop.where.removesuffix(f":{item.line}")
            counts[reason_and_file] += 1
            if counts[reason_and_file] <= _SHOWN_LINES:
                lines.setdefault(reason_and_file, []).append(item.line)
        if item.kind:
            kinds[item.kind] += 1
    for (reason, file), numbers in lines.items():
        count = counts[reason, file]
        shown = ", ".join(map(str, numbers)) + (", …" if count > _SHOWN_LINES else "")
        say(console, f"skipped as {reason}: {counted(count, 'line')} of {file} ({shown})")
    for note in rows.notes:
        say(console, note)
    for language, count in rows.without_split().items():
        found = f"{counted(count, 'utterance')} without a split"
        say(console, f"{language}: {found}, assigned to train, dev or test by a hash of the text")
    if kinds:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        first = kinds.most_common(1)[0][0]
        convert = f"convert such recordings, for example with: ffmpeg -i clip{first} clip.flac"
        install = "" if pyav_is_installed() else f"{INSTALL} reads the usual ones, or "
        say(console, f"not read: {listed}; {install}{convert}")


def print_outside_vocabulary(console: Console, indexes: Mapping[str, Mapping[str, Any]]) -> None:
    """Print which characters of the training text are not in the vocabulary, how often, and what they become."""
    for language, index in indexes.items():
        outside = index.get("outside_vocabulary", {})
        if not outside:
            continue
        frequent = sorted(outside.items(), key=lambda item: -item[1]["count"])
        shown = ", ".join(
            f"{character} {_outcome(entry['as'])} ({entry['count']:,})"
            for character, entry in frequent[:_SHOWN_CHARACTERS]
        )
        more = " …" if len(frequent) > _SHOWN_CHARACTERS else ""
        found = f"{counted(len(outside), 'character')} of the training text not in the vocabulary"
        say(console, f"{language}: {found}: {shown}{more}")


def _outcome(stand_in: str) -> str:
    return f"→ {stand_in}" if stand_in else "removed"


def print_unknown_lengths(console: Console, indexes: Mapping[str, Mapping[str, Any]]) -> None:
    """Print how many of the kept utterances come from recordings that do not declare their length."""
    for language, index in indexes.items():
        found = index.get("length_unknown")
        if found:
            say(
                console,
                f"{language}: {counted(found['count'], 'utterance')} kept from recordings that do not declare their "
                f"length (for example {found['examples'][0]}); all audio was decoded, but it may have been cut short",
            )


def print_failed(console: Console, failed: Mapping[str, Problem]) -> None:
    """Print the languages that failed before the work began, one per line."""
    for language, problem in list(failed.items())[:_SHOWN_FAILED]:
        say(console, f"{language} failed: {problem}")
    if len(failed) > _SHOWN_FAILED:
        say(console, f"and {len(failed) - _SHOWN_FAILED:,} more languages failed")


def print_language_notes(console: Console, codes: Iterable[str]) -> None:
    """Print which languages have no adapter of MMS to start from: a note each, or one line if they are many."""
    notes = {code: note for code in codes if (note := language_note(code))}
    if len(notes) <= _SHOWN_NOTES:
        for note in notes.values():
            say(console, note)
        return
    say(console, f"MMS has no adapter of these names; training starts from new ones: {', '.join(notes)}")


def plans_table(plans: Iterable[tuple[LanguagePlan, bool]], width: int) -> Table:
    """Table of what a build would do: a row per language, given whether its shards are there already."""
    columns = [
        TextColumn("language", right=False),
        *(TextColumn(name) for name in ("train", "dev", "test", "left out already")),
        TextColumn("state", right=False),
    ]
    rows = [
        (
            plan.language,
            *(f"{len(plan.candidates[split]):,}" for split in ("train", "dev", "test")),
            f"{plan.drops.total:,}",
            "unchanged" if is_built else "to build",
        )
        for plan, is_built in plans
    ]
    return fitting_table("What a build would do", columns, rows, width)
