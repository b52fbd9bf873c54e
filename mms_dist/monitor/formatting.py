"""Format numbers for tables, the same way everywhere."""

import math
from collections.abc import Sequence

from rich.text import Text

NONE = "–"
BLOCKS = "▁▂▃▄▅▆▇█"
STATE_STYLES = {"training": "cyan", "waiting": "bright_black", "finished": "green", "quarantined": "bold red"}


def percent(fraction: float | None) -> str:
    """Format 0.2345 as `23.4`, nan as `nan`, None as a dash. The percent sign is in the column heading."""
    return NONE if fraction is None else f"{100 * fraction:.1f}"


def signed_percent(change: float | None) -> str:
    """Format a change of a rate in points: 0.0234 as `+2.3`, with a minus sign if it is negative, None as a dash."""
    if change is None:
        return NONE
    points = round(100 * change, 1)
    return f"{points:+.1f}".replace("-", "\u2212") if points else "0.0"


def decimal(value: float | None, digits: int = 3) -> str:
    """Format a loss or a norm with about `digits` significant digits, to keep columns narrow."""
    if value is None:
        return NONE
    if not math.isfinite(value) or value == 0:
        return f"{value:.0f}"
    whole = max(0, math.floor(math.log10(abs(value))))
    return f"{value:.{max(0, digits - 1 - whole)}f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"


def duration(seconds: float | None) -> str:
    """Format seconds as `0:07`, `12:34`, `1:02:03` or `2d 03:04`."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}"
    return f"{hour}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def spelled_duration(seconds: float | None) -> str:
    """Format seconds in their two largest units: `45 s`, `6 min 58 s`, `2 h 5 min`, `3 d 4 h`; None as a dash."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    left = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    first = next((place for place, (_, length) in enumerate(units) if left >= length), len(units) - 1)
    parts: list[str] = []
    for unit, length in units[first : first + 2]:
        count, left = divmod(left, length)
        parts.append(f"{count} {unit}" if count or not parts else "")
    return " ".join(filter(None, parts))


def age(seconds: float) -> str:
    """Format an age in its largest unit: `12 s`, `3 min`, `5 h`, `2 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def bar(fraction: float, width: int, style: str) -> Text:
    """Draw a thin progress bar of `width` characters."""
    halves = round(2 * width * min(max(fraction, 0.0), 1.0))
    full, half = divmod(halves, 2)
    text = Text("━" * full + "╸" * half, style=style, no_wrap=True)
    return text.append("━" * (width - full - half), style="grey27")


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw values as small columns from 0 to the highest value. A value that is not finite is a gap.

    If there are more than `width` values, they are thinned evenly; the last one is always shown.
    """
    if len(values) > width:
        last = len(values) - 1
        values = [values[round(index * last / (width - 1))] for index in range(width)]
    top = max((value for value in values if math.isfinite(value)), default=0.0) or 1.0
    return "".join(
        BLOCKS[min(len(BLOCKS) - 1, int(value / top * len(BLOCKS)))] if math.isfinite(value) else " "
        for value in values
    )
