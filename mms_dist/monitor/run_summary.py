"""The tables at the end of a run and in `mms-dist report`: every language's scores, state and checkpoint."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mms_dist.monitor.event_lines import REASONS
from mms_dist.monitor.formatting import NONE, STATE_STYLES, age, duration, percent, sparkline
from mms_dist.monitor.history import (
    FINISHED,
    QUARANTINED,
    TRAINING,
    WAITING,
    CurvePoint,
    Gain,
    LanguageHistory,
)
from mms_dist.monitor.terminal_tables import Bar, Column, fitted_table
from mms_dist.run_directory.paths import RunPaths

CURVE_WIDTH = 12
MOST_LANGUAGES = 60  # in the closing table; `mms-dist report` shows all


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run and its languages at one point in time."""

    run_directory: Path
    languages: Sequence[LanguageHistory]
    seconds: float | None = None  # that the finished process ran

    @property
    def tensorboard_command(self) -> str:
        """The command that opens the curves."""
        return f"tensorboard --logdir {shlex.quote(str(RunPaths(self.run_directory).tensorboard))}"


def closing_table(summary: RunSummary, width: int) -> RenderableType:
    """Build the closing table, the run in one line, and the command that opens TensorBoard."""
    shown = _worth_a_row(summary.languages)
    parts: list[RenderableType] = ["", run_languages_table(shown, width)]
    hidden = len(summary.languages) - len(shown)
    if hidden:
        command = f"mms-dist report {shlex.quote(str(summary.run_directory))}"
        parts.append(Text(f"and {hidden:,} more: {command}", style="bright_black"))
    parts.append(problem_lines(shown))
    parts.append(summary_line(summary))
    parts.append(Text(f"curves: {summary.tensorboard_command}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


def run_languages_table(languages: Sequence[LanguageHistory], width: int, *, now: datetime | None = None) -> Table:
    """Build a table with one row per language. With `now`, show the age of the last checkpoint, not its folder."""
    columns: list[Column[LanguageHistory] | Bar[LanguageHistory]] = [
        Column("language", lambda language: Text(language.language, "bold"), justify="left"),
        Column("utterances", lambda language: f"{language.utterances:,}" if language.utterances else NONE, rank=4),
        Column("hours", _hours, rank=3),
        Column("steps", _steps, rank=2),
        Column("dev CER %", _rates),
        Column("best CER %", lambda language: Text(percent(_cer(language.best)), "bold green")),
        Column("best WER %", lambda language: percent(language.best.wer if language.best else None)),
        Column("curve", _curve, rank=5, justify="left"),
        Column("status", _status, justify="left"),
        Column(
            "last checkpoint" if now else "checkpoint",
            lambda language: _checkpoint(language, now),
            rank=1,
            justify="left",
        ),
    ]
    return fitted_table(columns, languages, width)


def problem_lines(languages: Iterable[LanguageHistory]) -> Text:
    """Write a line for every language in quarantine or with damaged samples; empty if there are none."""
    text = Text()
    for language in languages:
        if language.state == QUARANTINED:
            text.append(f"{language.language} ", "bold red").append(_quarantine(language))
        if language.damaged_samples:
            text.append(f"{language.language} ", "yellow")
            text.append(f"damaged samples left out: {language.damaged_samples:,}; see `mms-dist shards verify`\n")
    return text


def _quarantine(language: LanguageHistory) -> str:
    return f"quarantined since step {language.step:,}: {language.reason}\n"


def summary_line(summary: RunSummary) -> Text:
    """Describe in one line how the languages ended, their mean CER gain, and how long the process ran."""
    languages = summary.languages
    text = Text()
    counts = {state: sum(each.state == state for each in languages) for state in STATE_STYLES}
    for state in (FINISHED, TRAINING, WAITING, QUARANTINED):
        if counts[state]:
            text.append(f"{counts[state]:,} {state}", style=STATE_STYLES[state]).append("   ")
    gain = Gain.of(languages)
    if gain is not None:
        text.append(f"mean CER {percent(gain.before)} → ")
        text.append(f"{percent(gain.best)} %   ", style="bold green")
    if summary.seconds is not None:
        text.append(f"in {duration(summary.seconds)}")
    return text


def _hours(language: LanguageHistory) -> str:
    return f"{language.audio_seconds / 3600:,.2f}" if language.audio_seconds else NONE


def _steps(language: LanguageHistory) -> Text:
    limit = f"/{language.steps:,}" if language.steps > language.step else ""
    return Text.assemble(f"{language.step:,}", (limit, "bright_black"))


def _rates(language: LanguageHistory) -> Text:
    """Format the CER before training and now."""
    if language.initial is None or language.latest is language.initial:
        return Text(percent(_cer(language.latest)))
    return Text.assemble((f"{percent(language.initial.cer)} → ", "bright_black"), percent(_cer(language.latest)))


def _curve(language: LanguageHistory) -> Text:
    return Text(sparkline([point.cer for point in language.curve], CURVE_WIDTH), "cyan")


def _status(language: LanguageHistory) -> Text:
    is_done = language.state == FINISHED and language.reason
    text = REASONS.get(language.reason, language.reason) if is_done else language.state
    return Text(text, STATE_STYLES[language.state])


def _checkpoint(language: LanguageHistory, now: datetime | None) -> Text:
    if language.checkpoint_step is None:
        return Text(NONE, "bright_black")
    if now is None or language.checkpoint_time is None:
        return Text(f"adapters/{language.language}/{'best' if language.best else 'last'}", "bright_black")
    ago = age((now - language.checkpoint_time).total_seconds())
    return Text(f"step {language.checkpoint_step:,}, {ago} ago", "bright_black")


def _cer(point: CurvePoint | None) -> float | None:
    return point.cer if point else None


def _worth_a_row(languages: Sequence[LanguageHistory]) -> Sequence[LanguageHistory]:
    """Return all languages; if there are many, those in quarantine, then the worst and the best of those scored."""
    if len(languages) <= MOST_LANGUAGES:
        return languages
    trouble = [language for language in languages if language.state == QUARANTINED][: MOST_LANGUAGES // 2]
    scored = [(language.best.cer, language) for language in languages if language.best]
    ranked = [each for _, each in sorted(scored, key=lambda pair: -pair[0]) if each.state != QUARANTINED]
    half = (MOST_LANGUAGES - len(trouble)) // 2
    return trouble + (ranked if len(ranked) <= 2 * half else ranked[:half] + ranked[-half:])
