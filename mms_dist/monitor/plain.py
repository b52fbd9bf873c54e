"""Progress where no terminal redraws: batch logs, pipes, CI. One line at a time, never many a second."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape

from mms_dist.monitor.board import Board
from mms_dist.monitor.cells import decimal, duration, percent
from mms_dist.monitor.history import STATES

SHORTEST_SECONDS = 5.0
LONGEST_SECONDS = 60.0
ELAPSED_FRACTION = 0.05  # a run of an hour is told of every minute, its first minutes more often
MOST_RATES = 8  # in one line


class PlainProgress:
    """Prints a line about `board` now and then, less often the longer the run."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board, self._console = board, console
        self._last_seconds = 0.0
        self._last_rounds = 0  # of this process, when a line was printed last
        # The step whose CER was printed last; what an earlier process measured is not news.
        self._told = {code: latest.step for code, line in board.lines.items() if (latest := line.history.latest)}

    def start(self) -> None:
        """Begin: the first line comes after the shortest interval."""
        self._last_seconds = self._board.elapsed_seconds

    def update(self, *, force: bool = False) -> None:
        """Print a line if the last is long enough ago."""
        elapsed = self._board.elapsed_seconds
        interval = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, ELAPSED_FRACTION * elapsed))
        if not force and elapsed - self._last_seconds < interval:
            return
        self._last_seconds, self._last_rounds = elapsed, self._board.throughput.total_rounds
        self._print(status_line(self._board))
        for line in self._new_rates():
            self._print(line)

    def announce(self, line: str) -> None:
        """Print the line of an event at once: there are few."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Tell how it stands in the end, if anything was trained since the last line."""
        if self._board.throughput.total_rounds > self._last_rounds:
            self.update(force=True)
        for line in self._new_rates():
            self._print(line)

    def _print(self, line: str) -> None:
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def _new_rates(self) -> Iterator[str]:
        """What was evaluated since the last line; a language's rate before training is never passed over."""
        before, after = [], []
        for code, line in self._board.lines.items():
            told = self._told.get(code, -1)
            fresh = [point for point in line.history.curve if point.step > told]
            if not fresh:
                continue
            self._told[code] = fresh[-1].step
            if fresh[0].step == 0:
                before.append(f"{code} {percent(fresh[0].cer)}")
            if fresh[-1].step > 0:
                mark = "*" if line.history.best is fresh[-1] else ""
                after.append(f"{code} {percent(fresh[-1].cer)}{mark}")
        if before:
            yield f"  dev CER % before training: {_some(before)}"
        if after:
            yield f"  dev CER % (* best so far): {_some(after)}"


def status_line(board: Board) -> str:
    """The run in one line."""
    speed = board.throughput
    losses = [line.loss for code in board.active if (line := board.lines[code]).loss is not None]
    loss = sum(losses) / len(losses) if losses else None
    states = [f"{count} {state}" for state in STATES if (count := board.count(state))]
    standing = [f"round {board.round}", f"{duration(board.elapsed_seconds)} elapsed"]
    if not speed.total_rounds:
        return " | ".join([*standing, ", ".join(states)])
    return " | ".join(
        [
            standing[0],
            f"{standing[1]}, {duration(board.eta_seconds)} left",
            ", ".join(states),
            f"loss {decimal(loss)}",
            f"{speed.audio_seconds_per_second:.0f} s of audio a second",
            f"padding {percent(speed.padding_fraction)} %",
            f"data wait {percent(speed.data_wait_fraction)} %",
        ]
    )


def _some(rates: Sequence[str]) -> str:
    more = f" and {len(rates) - MOST_RATES} more" if len(rates) > MOST_RATES else ""
    return ", ".join(rates[:MOST_RATES]) + more
