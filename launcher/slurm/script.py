"""A batch script and the options in its head, as `#SBATCH --name=value` lines."""

import re
import shlex
from collections.abc import Mapping, Sequence

_OPTION = re.compile(r"#SBATCH\s+--(?P<name>[a-z-]+)(?:=(?P<value>.*))?")


def options_of(script: str) -> dict[str, str]:
    """The options that a script sets, by their long names; the value of a mere flag is empty."""
    return {match["name"]: (match["value"] or "").strip('"') for line in _head(script) if (match := _match(line))}


def render(script: str, options: Mapping[str, str], setup: Sequence[str]) -> str:
    """The script with `options` in place of its own of the same name, or after them, and `setup` before its commands.

    The result needs neither options nor arguments of sbatch's command line.
    """
    head: list[str] = []
    left, last = dict(options), 0
    for line in _head(script):
        match = _match(line)
        if match:
            last = len(head) + 1
            if match["name"] in left:
                line = _line(match["name"], left.pop(match["name"]))
        head.append(line)
    head[last or 1 : last or 1] = [_line(name, value) for name, value in left.items()]
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
    if not value:
        return f"#SBATCH --{name}"
    return f'#SBATCH --{name}="{value}"' if re.search(r"\s", value) else f"#SBATCH --{name}={value}"
