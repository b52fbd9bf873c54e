"""Tables that fit the terminal: on a narrow one, the least important columns are left out and no word is split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.cells import cell_len
from rich.table import Table

_FRAME = 3  # a space on either side of a cell, and a line

_Column = TypeVar("_Column")


def columns_that_fit(
    columns: Sequence[_Column], width: int, *, rank: Callable[[_Column], int], total: Callable[[Sequence[_Column]], int]
) -> list[_Column]:
    """Drop the columns of highest rank until the others fit into `width` characters.

    Args:
        rank: the rank of a column; rank 0 is never dropped.
        total: the width of a table with these columns.
    """
    kept = list(columns)
    while total(kept) > width and any(rank(column) for column in kept):
        kept.remove(max(kept, key=rank))
    return kept


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column. `rank` 0 is always shown; of the others, the highest rank is dropped first.

    `folds`: wrap the column's text into the width that is left.
    """

    heading: str
    right: bool = True
    rank: int = 0
    folds: bool = False


def fitting_table(title: str, columns: Sequence[TextColumn], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Create a table at most `width` characters wide, if the rank 0 columns fit. The caption names dropped columns."""
    cells = {column: [row[number] for row in rows] for number, column in enumerate(columns)}
    kept = columns_that_fit(columns, width, rank=lambda column: column.rank, total=lambda few: _width(few, cells))
    left_out = [column.heading for column in columns if column not in kept]
    caption = f"a wider terminal also shows: {', '.join(left_out)}" if left_out else None
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for column in kept:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold",
        )
    for number in range(len(rows)):
        table.add_row(*(cells[column][number] for column in kept))
    return table


def _width(columns: Sequence[TextColumn], cells: dict[TextColumn, list[str]]) -> int:
    widths = [
        cell_len(column.heading) if column.folds else max(map(cell_len, [column.heading, *cells[column]]))
        for column in columns
    ]
    return sum(width + _FRAME for width in widths) + 1


def histogram(values: Sequence[int], edges: Sequence[str], *, width: int = 40) -> list[str]:
    """Return the lines of a bar chart: label, bar, count."""
    most = max(values, default=0)
    label_width = max(map(len, edges), default=0)
    lines = []
    for label, value in zip(edges, values, strict=True):
        bar = "█" * round(width * value / most) if most else ""
        lines.append(f"{label:>{label_width}} {bar or ('▏' if value else '')} {value:,}")
    return lines


def rounded_duration(seconds: float) -> str:
    """Format seconds for display: 42 s, 12.5 min, 3.4 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"
