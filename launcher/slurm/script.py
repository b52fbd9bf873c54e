"""A batch script and the options in its head."""

import shlex
from collections.abc import Mapping, Sequence

from launcher.slurm.directive import MARK, read_directive, write_directive

ONE_OF = (
    ("requeue", "no-requeue"),
    ("exclusive", "oversubscribe"),
    ("mem", "mem-per-cpu", "mem-per-gpu"),
    ("cpus-per-task", "cpus-per-gpu"),
)
"""Options of which a job can have one."""


def options_of(script: str) -> dict[str, str]:
    """The options that a script sets, by their long names; the value of a mere flag is empty.

    Raises:
        ConfigError: a line of them cannot be read.
    """
    return {name: value for line in _head(script) if line.startswith(MARK) for name, value in read_directive(line)}


def outranked(options: Mapping[str, str | None], others: Mapping[str, str | None]) -> dict[str, str | None]:
    """`options` under `others`, in whose favour those go that a job cannot have beside them."""
    rivals = {
        name for group in ONE_OF for name in group if any(others.get(other) is not None for other in group)
    } - others.keys()
    return {name: None if name in rivals else value for name, value in options.items()} | dict(others)


def render(script: str, options: Mapping[str, str | None], setup: Sequence[str]) -> str:
    """The script with `options` in place of its own of the same name, or after them, and `setup` before its commands.

    Those that are None are taken out, as are those that a job cannot have beside `options`. The result needs neither
    options nor arguments of sbatch's command line.

    Raises:
        ConfigError: a line of options cannot be read.
    """
    head: list[str] = []
    left, last = outranked(options_of(script), options), 0
    for line in _head(script):
        if not line.startswith(MARK):
            head.append(line)
            continue
        for name, _ in read_directive(line):
            value = left.pop(name, None)  # gone already: of an option that is set twice, the last value is the job's
            if value is not None:
                head.append(write_directive(name, value))
        last = len(head)
    head[last or 1 : last or 1] = [write_directive(name, value) for name, value in left.items() if value is not None]
    body = script.splitlines()[len(_head(script)) :]
    return "\n".join([*head, *setup, *body]) + "\n"


def arguments_line(arguments: Sequence[str]) -> str:
    """A line of setup that gives a script its arguments."""
    return shlex.join(["set", "--", *arguments])


def _head(script: str) -> list[str]:
    """The lines before the first command, which is as far as sbatch looks for options."""
    head: list[str] = []
    for line in script.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            break
        head.append(line)
    while head and not head[-1].strip():
        head.pop()
    return head
