"""Types of command-line values, with messages that say what is expected."""

import argparse
from collections.abc import Sequence


def count(text: str) -> int:
    """A whole number of 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number of 1 or more")
    return number


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0")
    return number


class Languages(argparse.Action):
    """Language codes behind one flag, apart by spaces or commas: `ron ita`, `ron,ita`. Use with `nargs="+"`."""

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
        setattr(namespace, self.dest, codes)
