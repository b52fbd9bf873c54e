"""The live display: as many languages as fit the terminal, and three lines of totals."""

import time
from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from mms_dist.monitor.display_state import DisplayedLanguage, DisplayState
from mms_dist.monitor.formatting import STATE_STYLES, bar, decimal, duration, percent, sparkline
from mms_dist.monitor.history import FINISHED, QUARANTINED, STATES, TRAINING
from mms_dist.monitor.terminal_tables import BLOCK_GAP, Bar, Column, fitted_table

SHORTEST_REFRESH_SECONDS = 0.5
REFRESH_COST_FRACTION = 0.005  # drawing may take this fraction of the run's time
MARGIN_LINES = 7  # lines without a language: three of totals, a blank, the header, "more", the cursor
COMFORTABLE_WIDTH = 60  # of a block with step, best CER and time left
NARROW_WIDTH = 24  # of a block without the language code: bar, loss, CER
TREND_WIDTH = 12
GIB = 1024**3
_GAP = "  "
SHORTEST_BAR, LONGEST_BAR = 8, 40
NAME_FRACTION = 1 / 3  # the run's folder takes at most this fraction of the line


class LiveDisplay:
    """Redraws the state of the run in place. It draws only when called, and starts no thread."""

    def __init__(self, run: DisplayState, console: Console) -> None:
        self._run, self._console = run, console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._next_seconds = 0.0

    def start(self) -> None:
        """Start drawing."""
        self._live.start()
        self.update(force=True)

    def update(self, *, force: bool = False) -> None:
        """Redraw, unless the last redraw is so recent that drawing would slow training down."""
        begun = time.monotonic()
        if not force and begun < self._next_seconds:
            return
        self._live.update(render(self._run, self._console.width, self._console.height), refresh=True)
        ended = time.monotonic()
        self._next_seconds = ended + max(SHORTEST_REFRESH_SECONDS, (ended - begun) / REFRESH_COST_FRACTION)

    def print_line(self, line: str) -> None:
        """Print a permanent line above the display."""
        self._console.print(line, highlight=False)

    def close(self) -> None:
        """Clear the display: the closing table replaces it."""
        self._live.update(Text(), refresh=True)
        self._live.stop()


def render(run: DisplayState, width: int, height: int) -> RenderableType:
    """Build the display for a terminal of this size: all languages if they fit, else those active or in quarantine."""
    width -= 1  # some terminals wrap after their last column
    height = max(1, height - MARGIN_LINES)
    lines = list(run.languages.values())
    if len(lines) > height * max(1, width // COMFORTABLE_WIDTH):
        lines = _training(run) + [line for line in lines if line.history.state == QUARANTINED]
    narrowest = max((len(line.history.language) for line in lines), default=0) + NARROW_WIDTH
    most_blocks = max(1, (width + BLOCK_GAP) // (narrowest + BLOCK_GAP))
    blocks = min(most_blocks, max(1, -(-len(lines) // height)))
    shown = lines[: blocks * height]
    parts: list[RenderableType] = [
        _headline(run, width),
        _languages_by_state(run, width),
        _system_figures(run, width),
        "",
        fitted_table(_columns(run), shown, width, blocks=blocks),
    ]
    if len(shown) < len(lines):
        parts.append(Text(f"+ {len(lines) - len(shown):,} more", style="bright_black"))
    return Group(*parts)


def _training(run: DisplayState) -> list[DisplayedLanguage]:
    """Return the languages in training in the order of the last round, so that rows keep their places."""
    place = {code: index for index, code in enumerate(run.active)}
    training = [line for line in run.languages.values() if line.history.state == TRAINING]
    return sorted(training, key=lambda line: place.get(line.history.language, len(place)))


def _columns(run: DisplayState) -> list[Column[DisplayedLanguage] | Bar[DisplayedLanguage]]:
    """Return the columns of the table; a column with a higher rank is dropped sooner."""
    return [
        Column("lang", _code, justify="left"),
        Bar(_bar),
        Column("step", _step, rank=3),
        Column("loss", lambda line: decimal(line.loss)),
        Column("CER %", _latest),
        Column("best", _best, rank=2),
        Column("trend", _trend, rank=4, justify="left"),
        Column("lr", lambda line: f"{line.last.lr:.1e}" if line.last else "", rank=5),
        Column("epoch", lambda line: f"{line.last.epoch:.1f}" if line.last else "", rank=6),
        Column("grad", lambda line: decimal(line.last.grad_norm) if line.last else "", rank=7),
        Column("left", lambda line: _left(run, line), rank=1),
    ]


def _code(line: DisplayedLanguage) -> Text:
    state = line.history.state
    return Text(line.history.language, style="bold" if state == TRAINING else STATE_STYLES[state])


def _bar(line: DisplayedLanguage, width: int) -> Text:
    history = line.history
    fraction = 1.0 if history.state == FINISHED else history.step / history.steps if history.steps else 0.0
    return bar(fraction, width, STATE_STYLES[history.state])


def _step(line: DisplayedLanguage) -> Text:
    history = line.history
    return Text.assemble(f"{history.step:,}", (f"/{history.steps:,}", "bright_black"))


def _latest(line: DisplayedLanguage) -> Text:
    latest = line.history.latest
    is_best = latest is not None and latest is line.history.best
    return Text(percent(latest.cer if latest else None), style="bold green" if is_best else "bold")


def _best(line: DisplayedLanguage) -> Text:
    best = line.history.best
    return Text(percent(best.cer if best else None), style="green")


def _trend(line: DisplayedLanguage) -> Text:
    return Text(sparkline([point.cer for point in line.history.curve], TREND_WIDTH), style="cyan")


def _left(run: DisplayState, line: DisplayedLanguage) -> Text:
    state = line.history.state
    return Text(duration(run.eta_of(line))) if state == TRAINING else Text(state, STATE_STYLES[state])


def _headline(run: DisplayState, width: int) -> Text:
    """Show the run's folder, round, progress bar, and elapsed and remaining time."""
    fraction = 1 - run.remaining_steps / run.steps if run.steps else 0.0
    name, most = run.run_directory, int(NAME_FRACTION * width)
    if len(name) > most:
        name = "…" + name[len(name) - most + 1 :]  # runs usually differ at the end of the path
    before = Text.assemble((name, "bold magenta"), f"{_GAP}round {run.round:,}{_GAP}")
    after = Text.assemble(
        _GAP,
        (f"{100 * fraction:.0f} %", "bold"),
        f"{_GAP}{duration(run.elapsed_seconds)}",
        (f"{_GAP}left ", "bright_black"),
        (duration(run.eta_seconds), "bold"),
    )
    bar_width = min(LONGEST_BAR, width - before.cell_len - after.cell_len)
    middle = bar(fraction, bar_width, "magenta") if bar_width >= SHORTEST_BAR else ""
    return Text.assemble(before, middle, after, no_wrap=True, overflow="ellipsis")


def _languages_by_state(run: DisplayState, width: int) -> Text:
    """Count the languages that are training, waiting, finished or quarantined, and show their mean CER gain."""
    counts = [(run.count(state), state) for state in STATES]
    items = [Text(f"{count:,} {state}", style=STATE_STYLES[state]) for count, state in counts if count]
    gain = run.gain()
    if gain is not None:
        best = (f"{percent(gain.best)} %", "bold green")
        items.append(Text.assemble(("mean CER ", "bright_black"), f"{percent(gain.before)} → ", best))
    return _line(items, width)


def _system_figures(run: DisplayState, width: int) -> Text:
    """Show speed, overheads and memory, the most important first."""
    speed = run.throughput
    figures = [
        (f"{speed.audio_seconds_per_second:,.0f} ×", " real time"),
        (f"{percent(speed.padding_fraction)} %", " padding"),
        (f"{percent(speed.data_wait_fraction)} %", " data wait"),
        (f"{run.memory_bytes / GIB:.1f} GiB", " memory"),
        (f"{percent(speed.save_fraction)} %", " saving"),
    ]
    return _line((Text.assemble(value, (unit, "bright_black")) for value, unit in figures), width)


def _line(items: Iterable[Text], width: int) -> Text:
    """Join as many items as fit, in order."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for item in items:
        gap = _GAP if line.cell_len else ""
        if line.cell_len + len(gap) + item.cell_len <= width:
            line.append(gap).append_text(item)
    return line
