"""Where a run stands, on one screen."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from mms_dist.inspection.standing import KILLED, UNKNOWN, Standing
from mms_dist.monitor.cells import STATE_STYLES, age, bar, duration, percent
from mms_dist.monitor.history import FINISHED, QUARANTINED, STATES, TRAINING, Gain
from mms_dist.monitor.summary import languages_table, troubles
from mms_dist.training.attempts import RunState

MOST_LANGUAGES = 20  # with a line each; `mms-dist report` has all of them
NAME_WIDTH, BAR_WIDTH = 12, 30
STYLES = {
    RunState.RUNNING: "bold cyan",
    FINISHED: "bold green",
    RunState.INCOMPLETE: "bold red",
    RunState.PREEMPTED: "bold yellow",
    RunState.STALLED: "bold red",
    RunState.FAILED: "bold red",
}
MEANING = {
    RunState.INCOMPLETE: "it has ended, and some languages need manual action: fix them before you start it again",
    RunState.PREEMPTED: "stopped on a signal with every language saved; the same command goes on",
    KILLED: "its process is gone without a word; the same command goes on from the last checkpoints",
    RunState.STALLED: "restarts make no progress: no other is tried",
    UNKNOWN: "going on, or killed: there is no status.json",
}


def show(standing: Standing, console: Console, *, also: Sequence[tuple[str, str]] = ()) -> None:
    """Print it, with lines of name and text from whoever knows where it is at work and prints."""
    more = [_more(standing)] if standing.begun else []  # which would have nothing to show
    for name, text in [*_lines(standing), *(also or _logs(standing)), *more]:
        line = Text.assemble((f"{name:<{NAME_WIDTH}}", "bright_black"), text)
        console.print(line, soft_wrap=True, highlight=False)
    if 0 < len(standing.languages) <= MOST_LANGUAGES:
        console.print()
        console.print(languages_table(standing.languages, console.width, now=standing.now))
    console.print(troubles(standing.languages), end="")


def _lines(standing: Standing) -> Iterator[tuple[str, Text | str]]:
    yield "run", str(standing.directory)
    yield "state", _state(standing)
    if standing.languages:
        yield "languages", _languages(standing)
        yield "progress", _progress(standing)
    gain = Gain.of(standing.languages)
    if gain is not None:
        best = (f"{percent(gain.best)} %", "bold green")
        yield "CER", Text.assemble(f"mean of {gain.languages:,} languages {percent(gain.before)} → ", best)
    if standing.pace is not None:
        yield "rate", _rate(standing)
    if standing.checkpoint_seconds is not None:
        yield "checkpoint", _checkpoint(standing)
    if standing.status is not None and standing.status.attempt > 1:
        yield "restarts", _restarts(standing)


def _logs(standing: Standing) -> list[tuple[str, str]]:
    return [] if standing.logs is None else [("logs", str(standing.logs))]


def _more(standing: Standing) -> tuple[str, str]:
    return "more", f"mms-dist report {shlex.quote(str(standing.directory))}; {standing.summary.tensorboard_command}"


def _state(standing: Standing) -> Text:
    status, state = standing.status, standing.state
    text = Text.assemble((state, STYLES.get(state, "bold yellow")))
    if status is not None:
        many = f"{status.processes:,} process{'es' if status.processes > 1 else ''}"
        text.append(
            f", {many}, rank 0 on {status.host}, process {status.pid}" if state == RunState.RUNNING else f", {many}"
        )
    if standing.silent_seconds is not None:
        text.append(f"; last heard of {age(standing.silent_seconds)} ago")
    if state == RunState.FAILED and status is not None:
        text.append("; the same command may do better" if status.restart else "; mend it before starting again")
    if state in MEANING:
        text.append(f"; {MEANING[state]}")
    if standing.is_quiet:
        text.append("; that is long: it hangs, or was killed with its machine", "bold yellow")
    if status is not None and status.reason:
        text.append(f"\n{'':<{NAME_WIDTH}}{status.reason}", "red")
    return text


def _languages(standing: Standing) -> Text:
    text = Text(f"{len(standing.languages):,}:")
    for state in (FINISHED, *(each for each in STATES if each != FINISHED)):
        if standing.count(state) or state != QUARANTINED:
            name = {FINISHED: "done", TRAINING: "active"}.get(state, state)
            text.append("  ").append(f"{standing.count(state):,} {name}", STATE_STYLES[state])
    return text


def _progress(standing: Standing) -> Text:
    text = Text()
    if standing.fraction is not None:
        text.append_text(bar(standing.fraction, BAR_WIDTH, "magenta")).append(f" {100 * standing.fraction:.0f} %  ")
    text.append(f"round {standing.round:,}")
    if standing.steps is not None:
        text.append(f", {standing.steps:,} steps of all languages together")
    if standing.eta_seconds is not None:
        end = (standing.now + timedelta(seconds=standing.eta_seconds)).astimezone()
        text.append(f"; {duration(standing.eta_seconds)} left, until {end:%a %d %b %H:%M %Z}", "bold")
    return text


def _rate(standing: Standing) -> str:
    pace = standing.pace
    assert pace is not None
    rate = f"{pace.audio_seconds_per_second:,.0f} s of audio a second, {pace.round_seconds:,.2f} s a round"
    if pace.steps_per_second:
        rate += f", {pace.steps_per_second:,.1f} steps a second"
    return rate


def _checkpoint(standing: Standing) -> str:
    newest, oldest = standing.checkpoint_seconds, standing.at_risk_seconds
    assert newest is not None
    line = f"{age(newest)} ago"
    return line if oldest is None else f"{line}; a language in training would lose {age(oldest)} at most"


def _restarts(standing: Standing) -> str:
    status = standing.status
    assert status is not None
    line = f"{status.attempt - 1:,} by themselves since the last start by hand"
    return f"{line}, the last {status.stalled:,} without a step more" if status.stalled else line
