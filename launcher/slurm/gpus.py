"""Parse numbers of GPUs as written in SLURM's options and variables."""

import re

from mms_dist.errors import ConfigError

_COUNT = re.compile(r"(?:[^:,()]+:)*(\d+)")
_GRES = re.compile(r"(?:gres[:/])?gpu(?::(?P<kind>[^:,()]*[^\d:,()][^:,()]*))?(?::(?P<count>\d+))?(?:\(.*\))?")


def gpus_of(text: str, name: str) -> int:
    """Return the number of GPUs in `8`, `a100:8` or `a100:4,h100:4`.

    Args:
        name: of the option or variable, for the error message.

    Raises:
        ConfigError: `text` is not a number of GPUs.
    """
    matches = [_COUNT.fullmatch(part.strip()) for part in text.split(",")]
    total = sum(int(match[1]) for match in matches if match)
    if not all(matches) or total < 1:
        raise ConfigError(f"{name} is {text!r}, expected a number of GPUs: N or KIND:N")
    return total


def gpus_of_gres(text: str) -> int | None:
    """Return the number of GPUs in `--gres=gpu:a100:8,nvme:1`; None if it requests no GPU."""
    matches = [match for part in text.split(",") if (match := _GRES.fullmatch(part.strip()))]
    return sum(int(match["count"] or 1) for match in matches) if matches else None


def other_gres(text: str, gpus: int) -> str:
    """Return a `--gres` list with `gpus` GPUs of the first kind that it names, and everything else unchanged.

    With `gpus` 0 all GPUs are removed.
    """
    parts: list[str] = []
    for part in text.split(","):
        match = _GRES.fullmatch(part.strip())
        if match is None:
            parts.append(part)
        elif gpus:
            parts.append(":".join(["gpu", *([match["kind"]] if match["kind"] else []), str(gpus)]))
            gpus = 0
    return ",".join(parts)
