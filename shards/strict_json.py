"""Parse JSON strictly: a repeated key is an error, and so are NaN and infinite numbers."""

import json
import re
from typing import Any, NoReturn


class RepeatedKeyError(ValueError):
    """A key is given twice in one object."""


def parse(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        RepeatedKeyError: a key is given twice; names the lines.
        ValueError: the text is not JSON.
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
        raise RepeatedKeyError(f"{name!r} is given twice{where}; keep one of them")
    return content


def _key(name: str) -> str:
    return f"(?:{re.escape(json.dumps(name))}|{re.escape(json.dumps(name, ensure_ascii=False))})\\s*:"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"found {name}, expected a finite number")
