"""Progress and tables of the shard commands: live on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shards.build import BuildProgress
from shards.drops import REASONS
from shards.plan import LanguagePlan
from shards.source_rows import SourceRows
from shards.tables import Column, fitting_table, say
from shards.wording import counted, shortened

NO_LANGUAGE = "(unknown)"
_EXAMPLE_CHARACTERS = 60
_PLAIN_SECONDS = 10.0
_SHOWN_LINES = 20


class WorkProgress:
    """A progress bar on a terminal; otherwise one line every few seconds."""

    def __init__(self, console: Console, total: int, unit: str) -> None:
        self._console = console
        self._total = total
        self._unit = unit
        self._done = 0
        self._begun = self._told = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)

    def advance(self, count: int = 1) -> None:
        """Count `count` more as done."""
        self._done += count
        self._bar.advance(self._task, count)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told >= _PLAIN_SECONDS:
            self._told = now
            rate = self._done / (now - self._begun)
            self._console.print(f"{self._done:,} of {self._total:,} {self._unit}, {rate:,.0f} a second")

    def begin(self, total: int) -> None:
        """Set the total, if it was not known at the start."""
        self._total = total
        self._bar.update(self._task, total=total)

    def describe(self, text: str) -> None:
        """Show what is being worked on."""
        self._bar.update(self._task, description=text)

    def __enter__(self) -> WorkProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class BuildDisplay(BuildProgress):
    """Shows a build through a `WorkProgress`."""

    def __init__(self, console: Console, work: WorkProgress, totals: Mapping[str, int]) -> None:
        self._console = console
        self._work = work
        self._totals = totals

    def language(self, language: str, *, done: int, total: int) -> None:
        self._work.describe(language)
        self._work.advance(done)
        if done:
            say(self._console, f"{language}: resuming; an earlier run did {done:,} of {counted(total, 'utterance')}")

    def advance(self, utterances: int) -> None:
        self._work.advance(utterances)

    def finished(self, language: str, index: dict[str, Any], *, reused: bool) -> None:
        if reused:
            self._work.advance(self._totals[language])
        splits = index["splits"].values()
        utterances, seconds = sum(entry["samples"] for entry in splits), sum(entry["seconds"] for entry in splits)
        state = "unchanged since it was built (use --force to rebuild)" if reused else "built"
        say(self._console, f"{language}: {counted(utterances, 'utterance')}, {duration(seconds)}, {state}")


def languages_table(indexes: Mapping[str, Mapping[str, Any]], width: int) -> Table:
    """Table of what was built: a row per language, from the content of each `index.json`."""
    columns = [
        Column("language", right=False),
        *(Column(name) for name in ("train", "dev", "test", "audio")),
        Column("shards", rank=1),
        Column("characters", rank=2),
        Column("speakers", rank=3),
        Column("left out"),
    ]
    rows = []
    for language, index in indexes.items():
        splits = index["splits"]
        rows.append(
            (
                language,
                *(f"{splits[split]['samples']:,}" for split in ("train", "dev", "test")),
                duration(sum(entry["seconds"] for entry in splits.values())),
                f"{sum(len(entry['shards']) for entry in splits.values()):,}",
                f"{index['vocabulary'] - 5}",
                f"{index['speakers']:,}" if index["speakers"] else "–",
                f"{sum(entry['count'] for entry in index['drops'].values()):,}",
            )
        )
    return fitting_table("Shards", columns, rows, width)


def print_drops(console: Console, drops: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print what was left out, by language and reason, and what each reason means. Prints nothing if empty."""
    rows = []
    found: dict[str, str] = {}
    for language, entries in drops.items():
        for reason, entry in entries.items():
            example = shortened(entry["examples"][0], _EXAMPLE_CHARACTERS) if entry["examples"] else ""
            rows.append((language, reason, f"{entry['count']:,}", example))
            found[reason] = REASONS.get(reason, "a reason from a later version of mms-dist")
    if not rows:
        return
    columns = [
        Column("language", right=False),
        Column("reason", right=False),
        Column("count"),
        Column("example", right=False, folds=True),
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
    lines: dict[str, list[int]] = {}
    for item in rows.left_out:
        if item.line is not None:
            lines.setdefault(item.reason, []).append(item.line)
    for reason, numbers in lines.items():
        shown = ", ".join(map(str, numbers[:_SHOWN_LINES])) + (", …" if len(numbers) > _SHOWN_LINES else "")
        say(console, f"skipped as {reason}: {counted(len(numbers), 'line')} of the manifest ({shown})")
    for note in rows.notes:
        say(console, note)
    for language, count in rows.without_split().items():
        found = f"{counted(count, 'utterance')} without a split"
        say(console, f"{language}: {found}, assigned to train, dev or test by a hash of the text")
    kinds = Counter(item.kind for item in rows.left_out if item.kind)
    if kinds:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
        first = kinds.most_common(1)[0][0]
        say(console, f"not read: {listed}; convert such recordings, for example with: ffmpeg -i clip{first} clip.flac")


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


def histogram(values: Sequence[int], edges: Sequence[str], *, width: int = 40) -> list[str]:
    """Return the lines of a bar chart: label, bar, count."""
    most = max(values, default=0)
    label_width = max(map(len, edges), default=0)
    lines = []
    for label, value in zip(edges, values, strict=True):
        bar = "█" * round(width * value / most) if most else ""
        lines.append(f"{label:>{label_width}} {bar or ('▏' if value else '')} {value:,}")
    return lines


def duration(seconds: float) -> str:
    """Format seconds for display: 42 s, 12.5 min, 3.4 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def plans_table(plans: Sequence[LanguagePlan], built: Collection[str], width: int) -> Table:
    """Table of what a build would do: a row per language."""
    columns = [
        Column("language", right=False),
        *(Column(name) for name in ("train", "dev", "test", "left out already")),
        Column("state", right=False),
    ]
    rows = [
        (
            plan.language,
            *(f"{len(plan.candidates[split]):,}" for split in ("train", "dev", "test")),
            f"{plan.drops.total:,}",
            "unchanged" if plan.language in built else "to build",
        )
        for plan in plans
    ]
    return fitting_table("What a build would do", columns, rows, width)
