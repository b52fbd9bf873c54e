"""Progress of the shard commands: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shards.build.language_build import BuildProgress
from shards.display.tables import rounded_duration
from shards.display.terminal import say
from shards.wording import counted

PLAIN_SECONDS = 10.0


class WorkProgress:
    """A progress bar on a terminal; otherwise one line every few seconds."""

    def __init__(self, console: Console, total: int, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._total = total
        self._unit = unit
        self._done = 0
        self._begun = self._told = clock()
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
        now = self._clock()
        if not self._console.is_terminal and now - self._told >= PLAIN_SECONDS:
            self._told = now
            rate = self._done / (now - self._begun)
            left = rounded_duration((self._total - self._done) / rate) if rate else "an unknown time"
            speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
            self._console.print(
                f"{self._done:,} of {self._total:,} {self._unit}, {speed} per second, about {left} left",
                highlight=False,
            )

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

    def measuring(self, language: str) -> None:
        self._work.describe(f"{language}, measuring")

    def advance(self, utterances: int) -> None:
        self._work.advance(utterances)

    def finished(self, language: str, index: dict[str, Any], *, reused: bool) -> None:
        if reused:
            self._work.advance(self._totals[language])
        splits = index["splits"].values()
        utterances, seconds = sum(entry["samples"] for entry in splits), sum(entry["seconds"] for entry in splits)
        state = "unchanged since it was built (use --force to rebuild)" if reused else "built"
        say(self._console, f"{language}: {counted(utterances, 'utterance')}, {rounded_duration(seconds)}, {state}")
