"""Format counts, names and long texts for messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 language`, `2 languages`, `1,000 utterances`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(name: str) -> str:
    r"""Return a file name, or a message that contains one, as valid text: a byte that is not UTF-8 becomes `\xe9`."""
    if name.isascii():
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # an unpaired surrogate, which cannot come from a file name
        return name.encode("utf-8", "backslashreplace").decode()


def nearest(name: str, candidates: Iterable[str], *, cutoff: float = 0.5) -> str:
    """Return `" (did you mean 'x'?)"` for the candidate closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(candidates), n=1, cutoff=cutoff)
    return f" (did you mean {close[0]!r}?)" if close else ""


def elided(text: str, characters: int) -> str:
    """Leave out the middle of a text that is too long: of a path and a message, the file name and the end remain."""
    if len(text) <= characters:
        return text
    head = (characters - 1) // 3
    return f"{text[:head]}…{text[len(text) - (characters - 1 - head) :]}"
