"""How far a command is: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from shards.build.language_build import BuildProgress
from shards.display.plain_lines import PlainLines
from shards.display.tables import rounded_duration
from shards.display.terminal import say
from shards.wording import counted


class WorkProgress:
    """A progress bar on a terminal; otherwise a line from time to time. A `total` of 0 is not known yet."""

    def __init__(self, console: Console, total: int, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._unit = unit
        self._is_estimate = False
        self._done = 0
        self._earlier = 0
        self._text = ""
        self._lines = PlainLines(console, self._line, clock=clock)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total or None)

    def advance(self, count: int = 1) -> None:
        """Count `count` more as done."""
        self._done += count
        self._bar.advance(self._task, count)
        self._lines.tick()

    def skip(self, count: int) -> None:
        """Count `count` as done before, in none of the time shown."""
        self._earlier += count
        self._done += count
        self._bar.tasks[self._task].completed += count  # `advance` would take it for speed
        self._lines.tick()

    def begin(self, total: int, *, is_estimate: bool = False) -> None:
        """Set the total, if it was not known at the start."""
        self._total = total
        self._is_estimate = is_estimate
        self._bar.update(self._task, total=total)

    def describe(self, text: str) -> None:
        """Show what is being worked on."""
        self._text = text
        self._bar.update(self._task, description=text)
        self._lines.tick()

    def _line(self, elapsed_seconds: float) -> str:
        what = f"{self._text}: " if self._text else ""
        if not self._total:
            return f"{self._text or 'working'} ({rounded_duration(elapsed_seconds)})"
        total = f"about {self._total:,}" if self._is_estimate else f"{self._total:,}"
        line = f"{what}{self._done:,} of {total} {self._unit} in {rounded_duration(elapsed_seconds)}"
        new = self._done - self._earlier
        if not new:
            return line
        left = rounded_duration((self._total - self._done) * elapsed_seconds / new)
        return f"{line}, about {left} left"

    def __enter__(self) -> WorkProgress:
        self._bar.start()
        self._lines.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.stop()
        self._bar.stop()


class AudioProgress:
    """Shows how much of the audio of some recordings is done.

    A length is known once a recording is opened; the others count as long as the mean of those.
    """

    def __init__(self, console: Console, recordings: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._recordings = recordings
        self._done = self._opened = 0
        self._known_seconds = self._heard_seconds = 0.0
        self._shown_seconds = 0
        self._work = WorkProgress(console, 0, "s of audio", clock=clock)

    def opened(self, seconds: float) -> None:
        """Count a recording as begun."""
        self._opened += 1
        self._known_seconds += seconds
        self._estimate()

    def advance(self, seconds: float) -> None:
        """Count `seconds` more as done."""
        self._heard_seconds += seconds
        self._work.advance(round(self._heard_seconds) - self._shown_seconds)
        self._shown_seconds = round(self._heard_seconds)

    def done(self, *, failed: bool, seconds: float) -> None:
        """Count a recording as done; one that failed was not heard, or not to its end."""
        self._done += 1
        if failed:
            self._opened += not seconds  # it could not even be opened
            self._known_seconds -= seconds
        self._estimate()
        self._work.describe(self._text)

    @property
    def _text(self) -> str:
        return f"{self._done:,} of {self._recordings:,} recordings"

    def _estimate(self) -> None:
        if self._opened:
            seconds = self._known_seconds * self._recordings / self._opened
            total = max(round(seconds), self._shown_seconds)
            self._work.begin(total, is_estimate=self._opened < self._recordings)

    def __enter__(self) -> AudioProgress:
        self._work.__enter__()
        self._work.describe(self._text)
        return self

    def __exit__(self, *exception: object) -> None:
        self._work.__exit__(*exception)


class BuildDisplay(BuildProgress):
    """Shows a build through a `WorkProgress`."""

    def __init__(self, console: Console, work: WorkProgress, totals: Mapping[str, int]) -> None:
        self._console = console
        self._work = work
        self._totals = totals

    def language(self, language: str, *, done: int, total: int) -> None:
        self._work.describe(language)
        self._work.skip(done)
        if done:
            say(self._console, f"{language}: resuming; an earlier run did {done:,} of {counted(total, 'utterance')}")

    def measuring(self, language: str) -> None:
        self._work.describe(f"{language}, measuring")

    def emptied(self, language: str, split: str, utterances: int) -> None:
        say(
            self._console,
            f"{language}: nothing is left in {split}: {counted(utterances, 'utterance')} left out by "
            "--drop-flagged; drop by fewer flags, or change a --threshold",
        )

    def advance(self, utterances: int) -> None:
        self._work.advance(utterances)

    def finished(self, language: str, index: dict[str, Any], *, reused: bool) -> None:
        if reused:
            self._work.skip(self._totals[language])
        splits = index["splits"].values()
        utterances, seconds = sum(entry["samples"] for entry in splits), sum(entry["seconds"] for entry in splits)
        state = "unchanged since it was built (use --force to rebuild)" if reused else "built"
        say(self._console, f"{language}: {counted(utterances, 'utterance')}, {rounded_duration(seconds)}, {state}")
