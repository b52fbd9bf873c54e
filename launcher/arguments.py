"""Types of command-line values, with messages that say what is expected."""

import argparse
import os
import re
from collections.abc import Sequence
from typing import Any

MOST = 10**9
"""Nothing that is counted or measured here comes near."""
_WHOLE = re.compile(r"\+?\d{1,10}", re.ASCII)
_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def count(text: str) -> int:
    """A whole number of 1 or more."""
    number = int(text) if _WHOLE.fullmatch(text.strip()) else 0
    if not 1 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number of 1 or more{_limit(number)}")
    return number


def positive(text: str) -> float:
    """A finite number above 0."""
    number = float(text) if _NUMBER.fullmatch(text.strip()) else 0.0
    if not 1 / MOST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0{_limit(number)}")
    return number


def _limit(number: float) -> str:
    return f", and at most {MOST:,}" if number > MOST else ""


def home_expanded(text: str) -> str:
    """The text, with the home folder for a `~` in front: shells leave it alone in `--to=~/export`."""
    return os.path.expanduser(text) if text == "~" or text.startswith("~/") else text


class GivenOnce(argparse.Action):
    """What a flag stands for. A second one with another value would take the first one's place without a word."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the value."""
        given: dict[str, Any] = namespace.__dict__.setdefault("given", {})
        if option_string and given.setdefault(self.dest, values) != values:
            parser.error(f"{option_string} is given twice, with {given[self.dest]} and {values}; keep one of them")
        setattr(namespace, self.dest, values)


class Languages(argparse.Action):
    """Language codes behind one flag, apart by spaces or commas: `ron ita`, `ron,ita`. Use with `nargs="+"`.

    A second flag adds to the first.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        """Take the codes."""
        codes = [code for value in values or () for code in value.replace(",", " ").split()]
        if not codes:
            parser.error(f"{option_string}: found no language code, expected codes such as ron ita")
        before = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, list(dict.fromkeys([*before, *codes])))
