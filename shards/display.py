"""Progress and tables of the shard commands: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shards.build import BuildProgress
from shards.plan import LanguagePlan

_PLAIN_WIDTH = 160
_PLAIN_SECONDS = 10.0


def make_console(*, stderr: bool = False) -> Console:
    """A console that does not cut tables off where nobody sees a terminal."""
    console = Console(stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, markup=False, width=_PLAIN_WIDTH)
    return console


class WorkProgress:
    """A bar over a known number of things on a terminal; elsewhere a line every few seconds."""

    def __init__(self, console: Console, total: int, unit: str) -> None:
        self._console = console
        self._total = total
        self._unit = unit
        self._done = 0
        self._begun = self._told = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
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
        """So many are done."""
        self._done += count
        self._bar.advance(self._task, count)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told >= _PLAIN_SECONDS:
            self._told = now
            rate = self._done / (now - self._begun)
            self._console.print(f"{self._done:,} of {self._total:,} {self._unit}, {rate:,.0f} a second")

    def describe(self, text: str) -> None:
        """What is being worked on."""
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
            self._console.print(f"{language}: going on after {done:,} of {total:,} utterances of an earlier run")

    def advance(self, utterances: int) -> None:
        self._work.advance(utterances)

    def finished(self, language: str, index: dict[str, Any], *, reused: bool) -> None:
        if reused:
            self._work.advance(self._totals[language])
        splits = index["splits"].values()
        utterances, seconds = sum(entry["samples"] for entry in splits), sum(entry["seconds"] for entry in splits)
        state = "unchanged since it was built" if reused else "built"
        self._console.print(f"{language}: {utterances:,} utterances, {duration(seconds)}, {state}")


def languages_table(indexes: Mapping[str, Mapping[str, Any]]) -> Table:
    """What was built: a row per language, from the content of each `index.json`."""
    table = Table(title="Shards", title_justify="left")
    table.add_column("language")
    for column in ("train", "dev", "test", "audio", "shards", "characters", "speakers", "left out"):
        table.add_column(column, justify="right")
    for language, index in indexes.items():
        splits = index["splits"]
        table.add_row(
            language,
            *(f"{splits[split]['samples']:,}" for split in ("train", "dev", "test")),
            duration(sum(entry["seconds"] for entry in splits.values())),
            f"{sum(len(entry['shards']) for entry in splits.values()):,}",
            f"{index['vocabulary'] - 5}",
            f"{index['speakers']:,}" if index["speakers"] else "–",
            f"{sum(entry['count'] for entry in index['drops'].values()):,}",
        )
    return table


def drops_table(drops: Mapping[str, Mapping[str, Mapping[str, Any]]], reasons: Mapping[str, str]) -> Table | None:
    """What was left out, by language and reason; None if nothing was."""
    table = Table(title="Left out", title_justify="left")
    for column in ("language", "reason", "utterances", "meaning", "for example"):
        table.add_column(column, justify="right" if column == "utterances" else "left", overflow="fold")
    for language, entries in drops.items():
        for reason, entry in entries.items():
            table.add_row(language, reason, f"{entry['count']:,}", reasons[reason], "\n".join(entry["examples"][:1]))
    return table if table.row_count else None


def histogram(values: Sequence[int], edges: Sequence[str], *, width: int = 40) -> list[str]:
    """Lines of a bar chart: label, bar, count."""
    most = max(values, default=0)
    label_width = max(map(len, edges), default=0)
    lines = []
    for label, value in zip(edges, values, strict=True):
        bar = "█" * round(width * value / most) if most else ""
        lines.append(f"{label:>{label_width}} {bar or ('▏' if value else '')} {value:,}")
    return lines


def duration(seconds: float) -> str:
    """Seconds for people: 42 s, 12.5 min, 3.4 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def plans_table(plans: Sequence[LanguagePlan], built: Collection[str]) -> Table:
    """What a build would do: a row per language."""
    table = Table(title="To build", title_justify="left")
    table.add_column("language")
    for column in ("train", "dev", "test", "left out already"):
        table.add_column(column, justify="right")
    table.add_column("state")
    for plan in plans:
        table.add_row(
            plan.language,
            *(f"{len(plan.candidates[split]):,}" for split in ("train", "dev", "test")),
            f"{plan.drops.total:,}",
            "unchanged since it was built" if plan.language in built else "to build",
        )
    return table
