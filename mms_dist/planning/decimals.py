"""Read numbers from a hand-written table, with a decimal point or a decimal comma.

`1,234` is over a thousand in some countries and a little over one in others, so ambiguous numbers are refused.
"""

import re
from collections.abc import Iterable
from typing import Literal

Mark = Literal[".", ","]
_WHOLE = re.compile(r"\d+([eE][+-]?\d+)?", re.ASCII)
_DECIMAL = re.compile(r"(\d+(?P<mark>[.,])\d*|(?P<first>[.,])\d+)([eE][+-]?\d+)?", re.ASCII)
_ONE_GROUP = re.compile(r"[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
_GROUPS = re.compile(r"[1-9]\d{0,2}((,\d{3})+\.\d+|(\.\d{3})+,\d+|(,\d{3}){2,}|(\.\d{3}){2,})", re.ASCII)
_CLOCK = re.compile(r"(\d+):([0-5]?\d)(?::([0-5]?\d))?", re.ASCII)
_UNIT = re.compile(r"([\d.,]+)\s*(h|hours?|hrs?|min|minutes?|s|sec|seconds?)\.?", re.ASCII | re.IGNORECASE)
_PER_HOUR = {"m": 60, "s": 3600}


def decimal_mark(numbers: Iterable[tuple[str, str]]) -> Mark | None:
    """Return the decimal mark that the numbers of a table, each with its place, use unambiguously; None if unclear.

    Raises:
        ValueError: the numbers use both marks.
    """
    shown: dict[Mark, str] = {}
    for place, text in numbers:
        if (mark := _mark_of(text.strip())) is not None:
            shown.setdefault(mark, f"{text.strip()!r} in {place}")
    if len(shown) > 1:
        raise ValueError(f"found {shown['.']} and {shown[',']}, expected a single decimal mark")
    return next(iter(shown), None)


def parse_decimal(text: str, mark: Mark | None) -> float:
    """Read a number of a table that uses this decimal mark.

    Raises:
        ValueError: the text is not a number, or is ambiguous; the message says how to write it.
    """
    text = text.strip()
    if _ONE_GROUP.fullmatch(text) and ("," in text or mark == ","):
        decimal = text.replace(",", ".")
        raise ValueError(f"it may mean {decimal.replace('.', '')} or {decimal}; write one of these")
    if _WHOLE.fullmatch(text) or _DECIMAL.fullmatch(text):
        return float(text.replace(",", "."))
    if _GROUPS.fullmatch(text):
        point, group = (".", ",") if _mark_of(text) == "." else (",", ".")
        return float(text.replace(group, "").replace(point, "."))
    raise ValueError(_advice(text))


def _mark_of(text: str) -> Mark | None:
    if _GROUPS.fullmatch(text):
        return "," if text.rfind(",") > text.rfind(".") > 0 or "," not in text else "."
    found = None if _ONE_GROUP.fullmatch(text) else _DECIMAL.fullmatch(text)
    return None if found is None else "," if "," in text else "."


def _advice(text: str) -> str:
    if clock := _CLOCK.fullmatch(text):
        hours = int(clock[1]) + int(clock[2]) / 60 + int(clock[3] or 0) / 3600
        return f"if these are hours and minutes, write {hours:.4g}"
    if (unit := _UNIT.fullmatch(text)) and _DECIMAL.fullmatch(unit[1] + "." * (not set(unit[1]) & set(".,"))):
        hours = parse_decimal(unit[1].replace(",", "."), None) / _PER_HOUR.get(unit[2][0].lower(), 1)
        return f"write hours without a unit: {hours:.4g}"
    return "write a number with a decimal point and no unit, such as 12.5"
