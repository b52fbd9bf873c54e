"""The totals of a run in three lines, for the live display."""

from collections.abc import Iterable

from rich.text import Text

from mms_dist.monitor.display_state import Board
from mms_dist.monitor.formatting import STATE_STYLES, bar, duration, percent
from mms_dist.monitor.history import STATES

GIB = 1024**3
GAP = "  "
SHORTEST_BAR, LONGEST_BAR = 8, 40
NAME_FRACTION = 1 / 3  # the run's folder takes at most this fraction of the line


def headline(board: Board, width: int) -> Text:
    """Show the run's folder, round, progress bar, and elapsed and remaining time."""
    fraction = 1 - board.remaining_steps / board.steps if board.steps else 0.0
    name, most = board.run_directory, int(NAME_FRACTION * width)
    if len(name) > most:
        name = "…" + name[len(name) - most + 1 :]  # runs usually differ at the end of the path
    before = Text.assemble((name, "bold magenta"), f"{GAP}round {board.round:,}{GAP}")
    after = Text.assemble(
        GAP,
        (f"{100 * fraction:.0f} %", "bold"),
        f"{GAP}{duration(board.elapsed_seconds)}",
        (f"{GAP}left ", "bright_black"),
        (duration(board.eta_seconds), "bold"),
    )
    bar_width = min(LONGEST_BAR, width - before.cell_len - after.cell_len)
    middle = bar(fraction, bar_width, "magenta") if bar_width >= SHORTEST_BAR else ""
    return Text.assemble(before, middle, after, no_wrap=True, overflow="ellipsis")


def languages_by_state(board: Board, width: int) -> Text:
    """Count the languages that are training, waiting, finished or quarantined, and show their mean CER gain."""
    counts = [(board.count(state), state) for state in STATES]
    items = [Text(f"{count:,} {state}", style=STATE_STYLES[state]) for count, state in counts if count]
    gain = board.gain()
    if gain is not None:
        best = (f"{percent(gain.best)} %", "bold green")
        items.append(Text.assemble(("mean CER ", "bright_black"), f"{percent(gain.before)} → ", best))
    return _line(items, width)


def system_figures(board: Board, width: int) -> Text:
    """Show speed, overheads and memory, the most important first."""
    speed = board.throughput
    figures = [
        (f"{speed.audio_seconds_per_second:,.0f} ×", " real time"),
        (f"{percent(speed.padding_fraction)} %", " padding"),
        (f"{percent(speed.data_wait_fraction)} %", " data wait"),
        (f"{board.memory_bytes / GIB:.1f} GiB", " memory"),
        (f"{percent(speed.save_fraction)} %", " saving"),
    ]
    return _line((Text.assemble(value, (unit, "bright_black")) for value, unit in figures), width)


def _line(items: Iterable[Text], width: int) -> Text:
    """Join as many items as fit, in order."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for item in items:
        gap = GAP if line.cell_len else ""
        if line.cell_len + len(gap) + item.cell_len <= width:
            line.append(gap).append_text(item)
    return line
