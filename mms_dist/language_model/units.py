"""What a language model counts: words, or characters with `|` for the space, as in the vocabularies of MMS."""

from collections.abc import Iterable
from typing import Literal

from mms_dist.errors import DataError

Unit = Literal["word", "char"]
UNITS: tuple[Unit, ...] = ("word", "char")

UNKNOWN, BEGIN, END = 0, 1, 2
"""Ids of `<unk>`, `<s>` and `</s>` in every model."""
SPECIAL = ("<unk>", "<s>", "</s>")
SPACE = "|"


def split(text: str, unit: Unit) -> list[str]:
    """Return the words or the characters of a text; runs of spaces count as one, those at the ends not at all."""
    words = text.split()
    return words if unit == "word" else list(SPACE.join(words))


def join(tokens: Iterable[str], unit: Unit) -> str:
    """Return the text of words or characters."""
    return " ".join(tokens) if unit == "word" else "".join(tokens).replace(SPACE, " ")


def guess_unit(words: Iterable[str]) -> Unit:
    """Tell the unit from a model's words: `char` if every one but the special ones is a single character."""
    ordinary = [word for word in words if word not in SPECIAL]
    return "char" if ordinary and all(len(word) == 1 for word in ordinary) else "word"


def check_unit(unit: str) -> Unit:
    """Return `unit` if it is one.

    Raises:
        DataError: it is not.
    """
    for known in UNITS:
        if unit == known:
            return known
    raise DataError(
        f"the unit of a language model is {unit!r}, expected one of {', '.join(UNITS)}", fix="choose another --unit"
    )
