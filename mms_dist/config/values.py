"""Values as people write them, in a file or on the command line: text to numbers, flags and language codes.

Numbers are read here and nowhere else, so that `010`, `1:30` or `12,5` are never another number than the one meant.
"""

import re
from typing import Any

NOTHING = ("null", "~")
"""What a flag says for `None`, where a setting can be that."""
_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?\.?(nan|inf(inity)?)", re.IGNORECASE)
FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
MOST_DIGITS = 400


def number(value: Any) -> Any:
    """A number of its text, and everything else as it is, for pydantic to judge.

    Raises:
        ValueError: a truth value, or text that is no number; says how to write one.
    """
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return number_of(value) if isinstance(value, str) else value


def number_of(text: str) -> int | float:
    """`12`, `1e-3`, `0.5`; whole numbers stay whole, `1e3` too.

    Raises:
        ValueError: says what was expected, and how to write it.
    """
    text = text.strip()
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))  # the bounds of a setting refuse it
    if not _NUMBER.fullmatch(text) or len(text) > MOST_DIGITS:
        raise ValueError(f"a number is expected, such as 12, 0.5 or 1e-3{_how(text)}")
    if re.fullmatch(r"[+-]?0\d.*", text):
        raise ValueError(f"a number is expected, and a 0 before one may mean base 8; write {text.lstrip('+-0') or 0}")
    value = float(text)
    if re.fullmatch(r"[+-]?[\d_]+", text):
        return int(text)
    return int(value) if value.is_integer() and "." not in text and abs(value) < 2**53 else value


def _how(text: str) -> str:
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        many = f"{text.replace(',', '')} or " if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text) else ""
        return f"; a comma may be of decimals or of thousands: write {many}{text.replace(',', '.')}"
    if re.fullmatch(r"[+-]?0[xob][0-9a-f]+", text, re.IGNORECASE):
        return f"; in decimal digits: {int(text, 0)}" if len(text) < 20 else "; in decimal digits"
    if text.lower() in ("none", "nil", "na", "n/a", "undefined"):
        return "; write null for none"
    return ""


def flag(value: Any) -> Any:
    """True or false of its text, and everything else as it is.

    Raises:
        ValueError: a number, or text that is neither.
    """
    if isinstance(value, str) and value.strip().lower() in FLAGS:
        return FLAGS[value.strip().lower()]
    if not isinstance(value, bool):
        raise ValueError("true or false is expected")
    return value


def switch(value: Any) -> Any:
    """`on` or `off` of a truth value or of its text, and everything else as it is: YAML reads an unquoted `on` as true.

    Raises:
        ValueError: it is neither, nor `auto`.
    """
    text = value.strip().lower() if isinstance(value, str) else value
    if isinstance(text, str) and text in FLAGS:
        text = FLAGS[text]
    if isinstance(text, bool):
        return "on" if text else "off"
    if text != "auto":
        raise ValueError("auto, on or off is expected")
    return text


def text(value: str) -> str:
    """Text that can name a file, and that every file of a run can hold.

    Raises:
        ValueError: it is empty, or has a character that cannot be.
    """
    if not value.strip():
        raise ValueError("it is empty, and text is expected")
    if any(character in value for character in "\0\r\n"):
        raise ValueError("text in one line is expected, without control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("its name is not UTF-8, and RUN/config.yaml could not hold it; rename it") from None
    return value


def some(languages: tuple[str, ...]) -> tuple[str, ...]:
    """Languages, of which there is one at least.

    Raises:
        ValueError: there is none.
    """
    if not languages:
        raise ValueError("no language is named, and codes such as ron,ita are expected, or null for all of the shards")
    return languages


def several(value: str) -> list[str]:
    """Values of a list in one text: `ron,eng`, `ron eng`, `[ron, eng]`."""
    value = value.strip()
    if value[:1] + value[-1:] in ("[]", "()"):
        value = value[1:-1]
    return [part.strip("'\"") for part in value.replace(",", " ").split()]
