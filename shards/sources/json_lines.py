"""Parse JSON lines: an object in every line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shards.sources.delimited_table import Line
from shards.sources.rows import RowError
from shards.sources.text_lines import TextLines

_ARRAY_FIX = "split an array into lines with: jq -c '.[]' FILE > manifest.jsonl"


def json_lines(lines: TextLines) -> Iterator[Line]:
    """Yield the object of every line that is not blank, in order."""
    for number, text in lines.decoded():
        if isinstance(text, RowError):
            yield number, text
        elif text.strip():
            yield number, _object(text, lines.where(number))


def _object(text: str, where: str) -> dict[str, Any] | RowError:
    try:
        fields = json.loads(text, object_pairs_hook=_each_key_once)
    except RecursionError:
        return RowError(where, "row_json", "objects or lists within each other, far too deep")
    except _KeyTwiceError as error:
        return RowError(where, "row_json", f"key {error.key!r} is given twice", fix="leave one of them out")
    except ValueError as error:
        fix = f"; {_ARRAY_FIX}" if text.lstrip().startswith("[") else ""
        return RowError(where, "row_json", f"not JSON: {error}", fix=f"expected one object per line{fix}")
    if isinstance(fields, dict):
        return fields
    found = 'expected one object per line, as {"audio": …, "text": …, "lang": …}'
    return RowError(where, "row_json", found, fix=_ARRAY_FIX if isinstance(fields, list) else None)


class _KeyTwiceError(ValueError):
    """An object gives a key twice. The json module would silently keep the last."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _KeyTwiceError(key)
        found[key] = value
    return found
