"""JSON in which nothing is lost without a word: what it says twice is an error, and so is a number that is none."""

import json
import re
from typing import Any, NoReturn


class RepeatedKeyError(ValueError):
    """A key is given twice in one object."""


def parse(text: str) -> Any:
    """The values of a JSON text.

    Raises:
        RepeatedKeyError: a key is given twice; says in which lines.
        ValueError: it is not JSON.
    """
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(items)
        if len(values) < len(items):
            names = [name for name, _ in items]
            repeated.extend(name for name in values if names.count(name) > 1)
        return values

    try:
        content = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if repeated:
        name = repeated[0]
        lines = [str(text.count("\n", 0, match.start()) + 1) for match in re.finditer(_key(name), text)]
        where = f", in lines {' and '.join(lines)}" if len(lines) > 1 else ""
        raise RepeatedKeyError(f"{name!r} is given twice{where}; only one of them would count: keep one")
    return content


def _key(name: str) -> str:
    return f"(?:{re.escape(json.dumps(name))}|{re.escape(json.dumps(name, ensure_ascii=False))})\\s*:"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"found {name}, expected a finite number")
