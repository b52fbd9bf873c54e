"""Read and replace the sbatch options in a batch script."""

import shlex
from collections.abc import Mapping, Sequence

from launcher.slurm.directive import MARK, read_directive, write_directive

ONE_OF = (
    ("requeue", "no-requeue"),
    ("exclusive", "oversubscribe"),
    ("mem", "mem-per-cpu", "mem-per-gpu"),
    ("cpus-per-task", "cpus-per-gpu"),
)
"""Groups of mutually exclusive options."""


def options_of(script: str) -> dict[str, str]:
    """Return the options that a script sets, by their long names; a flag's value is empty.

    Raises:
        ConfigError: an `#SBATCH` line cannot be parsed.
    """
    return {name: value for line in _head(script) if line.startswith(MARK) for name, value in read_directive(line)}


def outranked(options: Mapping[str, str | None], others: Mapping[str, str | None]) -> dict[str, str | None]:
    """Merge `others` over `options`, and set to None the options that `others` exclude."""
    rivals = {
        name for group in ONE_OF for name in group if any(others.get(other) is not None for other in group)
    } - others.keys()
    return {name: None if name in rivals else value for name, value in options.items()} | dict(others)


def render(script: str, options: Mapping[str, str | None], setup: Sequence[str]) -> str:
    """Return the script with its options replaced or extended by `options`, and `setup` before its commands.

    Options that are None are removed, and so are those that `options` exclude. The result needs no options or arguments
    on sbatch's command line.

    Raises:
        ConfigError: an `#SBATCH` line cannot be parsed.
    """
    head: list[str] = []
    left, last = outranked(options_of(script), options), 0
    for line in _head(script):
        if not line.startswith(MARK):
            head.append(line)
            continue
        for name, _ in read_directive(line):
            value = left.pop(name, None)  # None if already written: an option that is set twice has its last value
            if value is not None:
                head.append(write_directive(name, value))
        last = len(head)
    head[last or 1 : last or 1] = [write_directive(name, value) for name, value in left.items() if value is not None]
    body = script.splitlines()[len(_head(script)) :]
    return "\n".join([*head, *setup, *body]) + "\n"


def arguments_line(arguments: Sequence[str]) -> str:
    """Return the setup line that sets a script's arguments."""
    return shlex.join(["set", "--", *arguments])


def _head(script: str) -> list[str]:
    """Return the lines before the first command, where sbatch stops looking for options."""
    head: list[str] = []
    for line in script.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break
        head.append(line)
    while head and not head[-1].strip():
        head.pop()
    return head
