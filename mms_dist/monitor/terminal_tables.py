"""The style of tables on the terminal: no lines, dim headings.

`plain_table` is for a few columns. `fitted_table` drops the least useful columns of many, and can fill several blocks
side by side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from shards.display.tables import columns_that_fit

GAP = 2  # spaces between columns
BLOCK_GAP = 4  # and between blocks

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column. `rank` 0 is never dropped; among the others, the highest rank is dropped first."""

    name: str
    cell: Callable[[Row], Text | str]
    rank: int = 0
    justify: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Bar(Generic[Row]):
    """A column that takes the remaining width, between `least` and `most` characters."""

    draw: Callable[[Row, int], Text]
    least: int = 6
    most: int = 30


def plain_table(*headings: str, title: str | None = None) -> Table:
    """Build a table from its headings; `>` aligns a column to the right."""
    table = Table(box=None, padding=(0, 1), pad_edge=True, header_style="dim", title=title)
    for place, heading in enumerate(headings):
        right = heading.startswith(">")
        table.add_column(heading.removeprefix(">"), justify="right" if right else "left", no_wrap=right or place == 0)
    return table


def fitted_table(
    columns: Sequence[Column[Row] | Bar[Row]], rows: Sequence[Row], width: int, *, blocks: int = 1
) -> Table:
    """Lay out the rows in a table of at most `width` characters, in `blocks` blocks filled one after the other."""
    block_width = (width - BLOCK_GAP * (blocks - 1)) // blocks
    cells = {column: [column.cell(row) for row in rows] for column in columns if isinstance(column, Column)}
    widths: dict[Column[Row] | Bar[Row], int] = {
        column: max([cell_len(column.name), *(_length(cell) for cell in of_column)])
        for column, of_column in cells.items()
    }
    widths |= {column: column.least for column in columns if isinstance(column, Bar)}

    def total(shown: Sequence[Column[Row] | Bar[Row]]) -> int:
        return sum(widths[column] for column in shown) + GAP * (len(shown) - 1)

    kept = columns_that_fit(
        columns, block_width, rank=lambda column: column.rank if isinstance(column, Column) else 0, total=total
    )
    spare = max(0, block_width - total(kept))
    widths |= {column: min(column.most, column.least + spare) for column in kept if isinstance(column, Bar)}

    table = Table(box=None, pad_edge=False, padding=0, header_style="bright_black")
    height = -(-len(rows) // blocks)
    for block in range(blocks):
        for place, column in enumerate(kept):
            gap = GAP if place else BLOCK_GAP if block else 0
            name, justify = (column.name, column.justify) if isinstance(column, Column) else ("", "left")
            header = Text(" " * gap + name) if justify == "left" else name
            table.add_column(header, width=widths[column] + gap, justify=justify, no_wrap=True)
    for line in range(height):
        drawn: list[Text | str] = []
        for index in range(line, len(rows), height):
            for place, column in enumerate(kept):
                gap = GAP if place else BLOCK_GAP if index >= height else 0
                if isinstance(column, Bar):
                    cell: Text | str = column.draw(rows[index], widths[column])
                else:
                    cell = cells[column][index]
                left = not isinstance(column, Column) or column.justify == "left"
                drawn.append(Text.assemble(" " * gap, cell) if left else cell)
        table.add_row(*drawn)
    return table


def _length(cell: Text | str) -> int:
    return cell.cell_len if isinstance(cell, Text) else cell_len(cell)
