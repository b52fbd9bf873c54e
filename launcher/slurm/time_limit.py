"""Parse SLURM's time limits."""

import re

from mms_dist.errors import ConfigError

_DAYS = re.compile(r"(\d+)-(\d+)(?::(\d+))?(?::(\d+))?")
_CLOCK = re.compile(r"(\d+)(?::(\d+))?(?::(\d+))?")
EXPECTED = "expected minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS, such as 8:00:00 for eight hours"


def limit_seconds(text: str) -> int:
    """Return a time limit in seconds.

    Raises:
        ConfigError: `text` is not a time limit, or it is zero.
    """
    seconds = 0
    if match := _DAYS.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    elif match := _CLOCK.fullmatch(text):
        parts = [int(part) for part in match.groups() if part is not None]
        hours, minutes, rest = {1: (0, *parts, 0), 2: (0, *parts), 3: tuple(parts)}[len(parts)]
        seconds = (hours * 60 + minutes) * 60 + rest
    if seconds <= 0:
        raise ConfigError(f"--time: found {text!r}, {EXPECTED}")
    return seconds
