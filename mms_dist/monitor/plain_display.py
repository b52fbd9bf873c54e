"""Progress as plain lines, for batch logs, pipes and CI: never more than a few lines every few seconds."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape

from mms_dist.monitor.display_state import DisplayState
from mms_dist.monitor.formatting import decimal, duration, percent
from mms_dist.monitor.history import STATES

SHORTEST_SECONDS = 5.0
LONGEST_SECONDS = 60.0
ELAPSED_FRACTION = 0.05  # interval over elapsed time: a run of an hour prints every minute, and more often at first
MOST_RATES = 8  # in one line


class PlainDisplay:
    """Prints a status line from time to time, less often as the run gets longer."""

    def __init__(self, run: DisplayState, console: Console) -> None:
        self._run, self._console = run, console
        self._last_seconds = 0.0
        self._last_rounds = 0  # rounds of this process when the last line was printed
        # The step of the last printed CER. Scores from an earlier process are not printed again.
        newest = {code: line.history.latest for code, line in run.languages.items()}
        self._printed_steps = {code: point.step for code, point in newest.items() if point is not None}

    def start(self) -> None:
        """Start; the first line follows after the shortest interval."""
        self._last_seconds = self._run.elapsed_seconds

    def update(self, *, force: bool = False) -> None:
        """Print a line if enough time has passed since the last one."""
        elapsed = self._run.elapsed_seconds
        interval = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, ELAPSED_FRACTION * elapsed))
        if not force and elapsed - self._last_seconds < interval:
            return
        self._last_seconds, self._last_rounds = elapsed, self._run.throughput.total_rounds
        self._print(status_line(self._run))
        for line in self._new_rates():
            self._print(line)

    def print_line(self, line: str) -> None:
        """Print the line of an event immediately: such events are rare."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Print a last line if anything was trained since the previous one."""
        if self._run.throughput.total_rounds > self._last_rounds:
            self.update(force=True)
        for line in self._new_rates():
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def _new_rates(self) -> Iterator[str]:
        """Yield evaluations since the last line. A language's CER before training is always printed."""
        before, after = [], []
        for code, line in self._run.languages.items():
            printed_step = self._printed_steps.get(code, -1)
            fresh = [point for point in line.history.curve if point.step > printed_step]
            if not fresh:
                continue
            self._printed_steps[code] = fresh[-1].step
            if fresh[0].step == 0:
                before.append(f"{code} {percent(fresh[0].cer)}")
            if fresh[-1].step > 0:
                mark = "*" if line.history.best is fresh[-1] else ""
                after.append(f"{code} {percent(fresh[-1].cer)}{mark}")
        if before:
            yield f"  dev CER % before training: {_some(before)}"
        if after:
            yield f"  dev CER % (* best so far): {_some(after)}"


def status_line(run: DisplayState) -> str:
    """Describe the run in one line."""
    speed = run.throughput
    losses = [line.loss for code in run.active if (line := run.languages[code]).loss is not None]
    loss = sum(losses) / len(losses) if losses else None
    states = [f"{count} {state}" for state in STATES if (count := run.count(state))]
    rounds, elapsed = f"round {run.round}", f"{duration(run.elapsed_seconds)} elapsed"
    if not speed.total_rounds:
        return " | ".join([rounds, elapsed, ", ".join(states)])
    return " | ".join(
        [
            rounds,
            f"{elapsed}, {duration(run.eta_seconds)} left",
            ", ".join(states),
            f"loss {decimal(loss)}",
            f"{speed.audio_seconds_per_second:.0f} s of audio per second",
            f"padding {percent(speed.padding_fraction)} %",
            f"data wait {percent(speed.data_wait_fraction)} %",
        ]
    )


def _some(rates: Sequence[str]) -> str:
    more = f" and {len(rates) - MOST_RATES} more" if len(rates) > MOST_RATES else ""
    return ", ".join(rates[:MOST_RATES]) + more
