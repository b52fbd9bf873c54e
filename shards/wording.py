"""Format counts and examples for messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 language`, `2 languages`, `1,000 utterances`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(example: str, characters: int) -> str:
    """Shorten an example, `<where>: <detail>`: keep the end of a long path and the beginning of the detail."""
    where, colon, detail = example.partition(": ")
    room = max(characters // 2, characters - len(detail) - len(colon))
    if len(where) > room:
        where = f"…{where[len(where) - room + 1 :]}"
    line = f"{where}{colon}{detail}"
    return line if len(line) <= characters else f"{line[: characters - 1]}…"
