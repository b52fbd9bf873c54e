"""Argparse types and actions whose messages say what was expected, and options that commands share."""

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from launcher.slurm.environment import array_task
from mms_dist.errors import ConfigError

MAX_VALUE = 10**9
"""Upper limit of any count or measure on the command line."""
_WHOLE = re.compile(r"\+?\d{1,10}", re.ASCII)
_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def count(text: str) -> int:
    """Parse a whole number of 1 or more."""
    number = int(text) if _WHOLE.fullmatch(text.strip()) else 0
    if not 1 <= number <= MAX_VALUE:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number of 1 or more{_limit(number)}")
    return number


def whole(text: str) -> int:
    """Parse a whole number of 0 or more."""
    number = int(text) if _WHOLE.fullmatch(text.strip()) else -1
    if not 0 <= number <= MAX_VALUE:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number of 0 or more{_limit(number)}")
    return number


def positive(text: str) -> float:
    """Parse a finite number above 0."""
    number = float(text) if _NUMBER.fullmatch(text.strip()) else 0.0
    if not 1 / MAX_VALUE <= number <= MAX_VALUE:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0{_limit(number)}")
    return number


def amount(text: str) -> float:
    """Parse a finite number of 0 or more."""
    number = float(text) if _NUMBER.fullmatch(text.strip()) else -1.0
    if not 0 <= number <= MAX_VALUE:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of 0 or more{_limit(number)}")
    return number


def part(text: str) -> tuple[int, int]:
    """Parse the share of one of several jobs: `0/8` … `7/8`, or `array`: that of a task of a SLURM job array."""
    if text == "array":
        return _part_of_array()
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    number, parts = (int(found[1]), int(found[2])) if found else (0, 0)
    if not number < parts:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected K/N such as 0/8, with K from 0 to N - 1, or array in a SLURM job array"
        )
    return number, parts


def _part_of_array() -> tuple[int, int]:
    if "SLURM_ARRAY_TASK_ID" not in os.environ:
        raise argparse.ArgumentTypeError("found array, but this is not a task of a SLURM job array; expected K/N")
    try:
        return array_task(os.environ)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _limit(number: float) -> str:
    return f", and at most {MAX_VALUE:,}" if number > MAX_VALUE else ""


def one_of(words: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Make a type that parses some of these words, separated by commas."""

    def parse(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(text.replace(",", " ").split()))
        for word in found:
            if word not in words:
                raise argparse.ArgumentTypeError(f"found {word!r}, expected some of {', '.join(words)}")
        if not found:
            raise argparse.ArgumentTypeError(f"found nothing, expected some of {', '.join(words)}")
        return found

    return parse


def home_expanded(text: str) -> str:
    """Expand a leading `~` to the home folder. Shells do not expand it in `--to=~/export`."""
    return os.path.expanduser(text) if text == "~" or text.startswith("~/") else text


class GivenOnce(argparse.Action):
    """Store a flag's value, and reject a second, different value: argparse would silently keep the last one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value."""
        given: dict[str, Any] = namespace.__dict__.setdefault("given", {})
        if option_string and given.setdefault(self.dest, values) != values:
            parser.error(f"{option_string} is given twice, with {given[self.dest]} and {values}; keep one of them")
        setattr(namespace, self.dest, values)


class Languages(argparse.Action):
    """Store language codes separated by spaces or commas: `ron ita`, `ron,ita`. Use with `nargs="+"`.

    A repeated flag adds its codes to those of the first.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the codes."""
        codes = [code for value in values or () for code in value.replace(",", " ").split()]
        if not codes:
            parser.error(f"{option_string}: found no language code, expected codes such as ron ita")
        before = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, list(dict.fromkeys([*before, *codes])))


def usable_cores() -> int:
    """Return how many cores this process may use: in a SLURM job those of its task, not all of the machine."""
    return len(os.sched_getaffinity(0))


def add_model_options(parser: argparse.ArgumentParser, *, processes: str) -> None:
    """Add the options of commands that take a run, an export or an MMS model; `processes` says what processes do."""
    parser.add_argument(
        "--pointer",
        choices=("best", "last"),
        default="best",
        help="which checkpoint of a run: best dev CER or newest (default: best, or last if there was no evaluation)",
    )
    parser.add_argument(
        "--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default: as in the run, or auto)"
    )
    parser.add_argument(
        "--processes",
        metavar="N",
        type=count,
        default=usable_cores(),
        help=f"processes {processes} (default: number of cores that may be used)",
    )
