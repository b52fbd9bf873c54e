"""Print the status of a run on one screen."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from mms_dist.monitor.formatting import STATE_STYLES, age, bar, duration, percent
from mms_dist.monitor.history import FINISHED, QUARANTINED, STATES, TRAINING, Gain
from mms_dist.monitor.metrics_log import RunMetrics
from mms_dist.monitor.run_status import KILLED, UNKNOWN, RunStatus
from mms_dist.monitor.run_summary import problem_lines, run_languages_table
from mms_dist.run_directory.status_file import RunState

MOST_LANGUAGES = 20  # up to this many get their own line; `mms-dist report` has all of them
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
    RunState.INCOMPLETE: "some languages need manual action: fix them before you start the run again",
    RunState.PREEMPTED: "stopped by a signal with every language saved; run the same command to resume",
    KILLED: "the process is gone, no error recorded; run the same command to resume from the last checkpoints",
    RunState.STALLED: "restarts made no progress, so automatic restarts have stopped",
    UNKNOWN: "running or killed: there is no status.json",
}


def show_run_status(run_status: RunStatus, console: Console, *, also: Sequence[tuple[str, str]] = ()) -> None:
    """Print the status of a run; `also` are more lines, as (name, text), such as the job and its logs."""
    more = [_more(run_status)] if run_status.begun else []  # before that, there is nothing to show
    for name, text in [*_lines(run_status), *(also or _logs(run_status)), *more]:
        line = Text.assemble((f"{name:<{NAME_WIDTH}}", "bright_black"), text)
        console.print(line, soft_wrap=True, highlight=False)
    if 0 < len(run_status.languages) <= MOST_LANGUAGES:
        console.print()
        console.print(run_languages_table(run_status.languages, console.width, now=run_status.now))
    console.print(problem_lines(run_status.languages), end="")


def _lines(run_status: RunStatus) -> Iterator[tuple[str, Text | str]]:
    yield "run", str(run_status.directory)
    yield "state", _state(run_status)
    if run_status.languages:
        yield "languages", _languages(run_status)
        yield "progress", _progress(run_status)
    gain = Gain.of(run_status.languages)
    if gain is not None:
        best = (f"{percent(gain.best)} %", "bold green")
        yield "CER", Text.assemble(f"mean of {gain.languages:,} languages {percent(gain.before)} → ", best)
    if run_status.metrics is not None:
        yield "rate", _rate(run_status.metrics)
    elif run_status.is_without_metrics:
        yield "rate", "unknown: a version of mms-dist without metrics.jsonl ran this"
    if run_status.checkpoint_seconds is not None:
        yield "checkpoint", _checkpoint(run_status)
    if run_status.status is not None and run_status.status.attempt > 1:
        yield "restarts", _restarts(run_status)


def _logs(run_status: RunStatus) -> list[tuple[str, str]]:
    return [] if run_status.logs is None else [("logs", str(run_status.logs))]


def _more(run_status: RunStatus) -> tuple[str, str]:
    return "more", f"mms-dist report {shlex.quote(str(run_status.directory))}; {run_status.summary.tensorboard_command}"


def _state(run_status: RunStatus) -> Text:
    status, state = run_status.status, run_status.state
    text = Text.assemble((state, STYLES.get(state, "bold yellow")))
    if status is not None:
        processes = f", {status.processes:,} process{'es' if status.processes > 1 else ''}"
        where = f", rank 0 on {status.host}, process {status.pid}" if state == RunState.RUNNING else ""
        text.append(processes + where)
    if run_status.silent_seconds is not None:
        text.append(f"; last activity {age(run_status.silent_seconds)} ago")
    if state == RunState.FAILED and status is not None:
        text.append("; the same command may succeed" if status.restart else "; fix the error before starting again")
    if state in MEANING:
        text.append(f"; {MEANING[state]}")
    if run_status.is_quiet:
        text.append("; it may hang, or have died with its machine", "bold yellow")
    if status is not None and status.reason:
        text.append(f"\n{'':<{NAME_WIDTH}}{status.reason}", "red")
    return text


def _languages(run_status: RunStatus) -> Text:
    text = Text(f"{len(run_status.languages):,}:")
    for state in (FINISHED, *(each for each in STATES if each != FINISHED)):
        if run_status.count(state) or state != QUARANTINED:
            name = {FINISHED: "done", TRAINING: "active"}.get(state, state)
            text.append("  ").append(f"{run_status.count(state):,} {name}", STATE_STYLES[state])
    return text


def _progress(run_status: RunStatus) -> Text:
    text = Text()
    if run_status.fraction is not None:
        text.append_text(bar(run_status.fraction, BAR_WIDTH, "magenta")).append(f" {100 * run_status.fraction:.0f} %  ")
    text.append(f"round {run_status.round:,}")
    if run_status.steps is not None:
        text.append(f", {run_status.steps:,} steps over all languages")
    if run_status.eta_seconds is not None:
        end = (run_status.now + timedelta(seconds=run_status.eta_seconds)).astimezone()
        text.append(f"; {duration(run_status.eta_seconds)} left, until {end:%a %d %b %H:%M %Z}", "bold")
    return text


def _rate(metrics: RunMetrics) -> str:
    rate = f"{metrics.audio_seconds_per_second:,.0f} s of audio per second, {metrics.round_seconds:,.2f} s per round"
    if metrics.steps_per_second:
        rate += f", {metrics.steps_per_second:,.1f} steps per second"
    return rate


def _checkpoint(run_status: RunStatus) -> str:
    newest, oldest = run_status.checkpoint_seconds, run_status.at_risk_seconds
    assert newest is not None
    line = f"{age(newest)} ago"
    return line if oldest is None else f"{line}; if killed now, a language would lose at most {age(oldest)}"


def _restarts(run_status: RunStatus) -> str:
    status = run_status.status
    assert status is not None
    line = f"{status.attempt - 1:,} automatic since the last manual start"
    return f"{line}, the last {status.stalled:,} without progress" if status.stalled else line
