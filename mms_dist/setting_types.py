"""The types of settings, and how their text in a file or on the command line is read.

All numbers are read here, so that `010`, `1:30` or `12,5` is never silently read as a different number.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

MAX_VALUE = 10**9
"""Larger than any real count, length or size. A larger value is a typo, and could overflow."""

NOTHING = ("null", "~")
"""Text that stands for `None` in a flag, if the setting allows it."""
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?\.?(nan|inf(inity)?)", re.IGNORECASE)
FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MAX_DIGITS = 400


def number(value: Any) -> Any:
    """Convert text to a number, and return anything else unchanged for pydantic to check.

    Raises:
        ValueError: the value is a boolean, or text that is not a number; the message says how to write one.
    """
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return number_of(value) if isinstance(value, str) else value


def number_of(text: str) -> int | float:
    """Read `12`, `1e-3` or `0.5`. Whole numbers become int, including `1e3`.

    Raises:
        ValueError: the text is not a number; the message says what was expected and how to write it.
    """
    text = text.strip()
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))  # the bounds of a setting refuse it
    if not _NUMBER.fullmatch(text) or len(text) > MAX_DIGITS:
        raise ValueError(f"expected a number such as 12, 0.5 or 1e-3{_how(text)}")
    if re.fullmatch(r"[+-]?0\d.*", text):
        raise ValueError(f"a leading 0 may mean base 8; write {text.lstrip('+-0') or 0}")
    value = float(text)
    if re.fullmatch(r"[+-]?[\d_]+", text):
        return int(text)
    return int(value) if value.is_integer() and "." not in text and abs(value) < 2**53 else value


def _how(text: str) -> str:
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        many = f"{text.replace(',', '')} or " if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text) else ""
        return f"; a comma may be a decimal point or a thousands separator: write {many}{text.replace(',', '.')}"
    if re.fullmatch(r"[+-]?0[xob][0-9a-f]+", text, re.IGNORECASE):
        return f"; write it in decimal: {int(text, 0)}" if len(text) < 20 else "; write it in decimal"
    if text.lower() in ("none", "nil", "na", "n/a", "undefined"):
        return "; for no value, write null"
    return ""


def flag(value: Any) -> Any:
    """Convert `true` or `false` and their synonyms to a boolean.

    Raises:
        ValueError: the value is a number, or text that is neither.
    """
    if isinstance(value, str) and value.strip().lower() in FLAGS:
        return FLAGS[value.strip().lower()]
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def switch(value: Any) -> Any:
    """Convert a boolean or its text to `on` or `off`: YAML reads an unquoted `on` as true.

    Raises:
        ValueError: the value is not `on`, `off` or `auto`.
    """
    text = value.strip().lower() if isinstance(value, str) else value
    if isinstance(text, str) and text in FLAGS:
        text = FLAGS[text]
    if isinstance(text, bool):
        return "on" if text else "off"
    if text != "auto":
        raise ValueError("expected auto, on or off")
    return text


def text(value: str) -> str:
    """Return text that can be a file name and can be stored in every file of a run.

    Raises:
        ValueError: the text is empty, or has a character that is not allowed.
    """
    if not value.strip():
        raise ValueError("expected text, not an empty value")
    if any(character in value for character in "\0\r\n"):
        raise ValueError("expected a single line without control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the name is not UTF-8, so RUN/config.yaml cannot store it; rename the file") from None
    return value


def some(languages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the languages, at least one.

    Raises:
        ValueError: there are none.
    """
    if not languages:
        raise ValueError("expected language codes such as ron,ita, or null for all languages of the shards")
    return languages


def several(value: str) -> list[str]:
    """Split a list written as one text: `ron,eng`, `ron eng` or `[ron, eng]`."""
    value = value.strip()
    if value[:1] + value[-1:] in ("[]", "()"):
        value = value[1:-1]
    return [part.strip("'\"") for part in value.replace(",", " ").split()]


STRICT = ConfigDict(extra="forbid")
"""Of every section: an unknown key is an error."""

Number = BeforeValidator(number)
PositiveInt = Annotated[int, Field(gt=0, le=MAX_VALUE), Number]
NonNegativeInt = Annotated[int, Field(ge=0, le=MAX_VALUE), Number]
PositiveFloat = Annotated[float, Field(gt=0, le=MAX_VALUE, allow_inf_nan=False), Number]
NonNegativeFloat = Annotated[float, Field(ge=0, le=MAX_VALUE, allow_inf_nan=False), Number]
Probability = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False), Number]
Flag = Annotated[bool, BeforeValidator(flag)]
Switch = Annotated[Literal["auto", "on", "off"], BeforeValidator(switch)]
Text = Annotated[str, AfterValidator(text)]
