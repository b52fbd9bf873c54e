"""Parse JSON tables: an object in every line, or one array of objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from shards.errors import SourceError
from shards.sources.delimited_table import Line
from shards.sources.rows import RowError
from shards.sources.text_lines import TextLines

_GAP = re.compile(r"[ \t\r\n,]*")
_MAX_OBJECT_CHARACTERS = 1 << 20
_DECODER = json.JSONDecoder()
_ARRAY_FIX = "split an array into lines with: jq -c '.[]' FILE > manifest.jsonl"


def json_lines(lines: TextLines) -> Iterator[Line]:
    """Yield the object of every line that is not blank, in order."""
    for number, text in lines.decoded():
        if isinstance(text, RowError):
            yield number, text
        elif text.strip():
            yield number, _object(text, lines.where(number))


def json_array(lines: TextLines) -> Iterator[Line]:
    """Yield the objects of an array, with the lines that they begin in. One object at a time is in memory.

    Raises:
        SourceError: the array is damaged.
    """
    text, number, opened, closed = "", 1, False, False  # `text` is not read yet, and begins in line `number`
    for _, line in lines.decoded():
        if isinstance(line, RowError):
            raise line
        text += f"{line}\n"
        at = 0
        while True:
            gap = _GAP.match(text, at)
            assert gap is not None, "it may be empty"
            number += text.count("\n", at, gap.end())
            at = gap.end()
            if at == len(text) or closed:
                break
            if text[at] == ("]" if opened else "["):
                opened, closed, at = True, opened, at + 1
                continue
            try:
                _, end = _DECODER.raw_decode(text, at)
            except (RecursionError, ValueError) as error:
                if len(text) - at < _MAX_OBJECT_CHARACTERS and isinstance(error, ValueError):
                    break  # the object may go on in the next line
                raise SourceError(f"{lines.where(number)}: not JSON: {error}", fix="correct it") from error
            yield number, _object(text[at:end], lines.where(number))
            number += text.count("\n", at, end)
            at = end
        text = text[at:]
    if not closed or text.strip():
        raise SourceError(
            f"{lines.where(number)}: not JSON: this begins an object or array without an end, or follows the end",
            fix="correct it",
        )


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
