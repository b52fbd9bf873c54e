"""A batch script and the options in its head, as `#SBATCH --name=value` lines."""

import re
import shlex
from collections.abc import Mapping, Sequence

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Of an option, in full."""
ONE_OF = (
    ("requeue", "no-requeue"),
    ("exclusive", "oversubscribe"),
    ("mem", "mem-per-cpu", "mem-per-gpu"),
    ("cpus-per-task", "cpus-per-gpu"),
)
"""Options of which a job can have one."""

_OPTION = re.compile(rf"#SBATCH\s+--(?P<name>{NAME.pattern})(?:=(?P<value>.*))?")
_PLAIN = re.compile(r"[\w@%+=:,./*|&()[\]-]+")


def options_of(script: str) -> dict[str, str]:
    """The options that a script sets, by their long names; the value of a mere flag is empty."""
    return {match["name"]: _unquoted(match["value"] or "") for line in _head(script) if (match := _match(line))}


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
    """
    head: list[str] = []
    left, last = outranked(options_of(script), options), 0
    for line in _head(script):
        match = _match(line)
        if match:
            last, value = len(head) + 1, left.pop(match["name"])
            if value is None:
                last -= 1
                continue
            line = _line(match["name"], value)
        head.append(line)
    head[last or 1 : last or 1] = [_line(name, value) for name, value in left.items() if value is not None]
    body = script.splitlines()[len(_head(script)) :]
    return "\n".join([*head, *setup, *body]) + "\n"


def arguments_line(arguments: Sequence[str]) -> str:
    """A line of setup that gives a script its arguments."""
    return shlex.join(["set", "--", *arguments])


def _head(script: str) -> list[str]:
    """The lines before the first command, which is as far as sbatch looks for options."""
    head: list[str] = []
    for line in script.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        head.append(line)
    while head and not head[-1].strip():
        head.pop()
    return head


def _match(line: str) -> re.Match[str] | None:
    if not line.startswith("#SBATCH"):
        return None
    match = _OPTION.fullmatch(line.strip())
    assert match is not None, f"{line!r} is not one long option of sbatch with its value"
    return match


def _line(name: str, value: str) -> str:
    return f"#SBATCH --{name}={_quoted(value)}" if value else f"#SBATCH --{name}"


def _quoted(value: str) -> str:
    """As sbatch reads it; bash never sees it."""
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])
