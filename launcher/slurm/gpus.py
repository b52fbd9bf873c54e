"""Numbers of GPUs, as SLURM's options and variables write them."""

import re

from mms_dist.errors import ConfigError

_COUNT = re.compile(r"(?:[^:,()]+:)*(\d+)")
_GRES = re.compile(r"(?:gres[:/])?gpu(?::(?P<kind>[^:,()]*[^\d:,()][^:,()]*))?(?::(?P<count>\d+))?(?:\(.*\))?")


def gpus_of(text: str, name: str) -> int:
    """`8`, `a100:8` or `a100:4,h100:4` as a number.

    Args:
        name: of the option or variable that says so.

    Raises:
        ConfigError: it is none.
    """
    matches = [_COUNT.fullmatch(part.strip()) for part in text.split(",")]
    total = sum(int(match[1]) for match in matches if match)
    if not all(matches) or total < 1:
        raise ConfigError(f"{name} is {text!r}, expected a number of GPUs: N or KIND:N")
    return total


def gpus_of_gres(text: str) -> int | None:
    """Those of `--gres=gpu:a100:8,nvme:1`; None if it asks for no GPU."""
    matches = [match for part in text.split(",") if (match := _GRES.fullmatch(part.strip()))]
    return sum(int(match["count"] or 1) for match in matches) if matches else None


def other_gres(text: str, gpus: int) -> str:
    """A list of `--gres` with `gpus` GPUs of the first kind that it names, or none of any, and what else it has."""
    parts: list[str] = []
    for part in text.split(","):
        match = _GRES.fullmatch(part.strip())
        if match is None:
            parts.append(part)
        elif gpus:
            parts.append(":".join(["gpu", *([match["kind"]] if match["kind"] else []), str(gpus)]))
            gpus = 0
    return ",".join(parts)
