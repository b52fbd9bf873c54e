"""Tables that fit: what is least important is left out where the screen is narrow, and no word is broken."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

_PLAIN_WIDTH = 100
_FRAME = 3  # a blank on either side of a cell, and a line


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `rank` 0 stays, of the others the highest goes first. One that folds takes the width that is left."""

    heading: str
    right: bool = True
    rank: int = 0
    folds: bool = False


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; without one, as COLUMNS says, or 100 columns."""
    console = Console(stderr=stderr, highlight=False, markup=False)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console = Console(stderr=stderr, highlight=False, markup=False, width=_PLAIN_WIDTH)
    return console


def say(console: Console, line: str) -> None:
    """A line that the terminal may wrap and nothing cuts, so that commands and paths in it can be copied."""
    console.print(line, soft_wrap=True)


def fitting_table(title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Table:
    """A table of at most `width` columns of text, if the columns of rank 0 allow; says which others it leaves out."""
    cells = {column: [row[number] for row in rows] for number, column in enumerate(columns)}
    kept = list(columns)
    while _width(kept, cells) > width and any(column.rank for column in kept):
        kept.remove(max(kept, key=lambda column: column.rank))
    left_out = [column.heading for column in columns if column not in kept]
    caption = f"a wider screen also shows: {', '.join(left_out)}" if left_out else None
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


def _width(columns: Sequence[Column], cells: dict[Column, list[str]]) -> int:
    widths = [
        cell_len(column.heading) if column.folds else max(map(cell_len, [column.heading, *cells[column]]))
        for column in columns
    ]
    return sum(width + _FRAME for width in widths) + 1
