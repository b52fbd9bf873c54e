"""Read the options in a line `#SBATCH …` of a batch script as sbatch does, and write such a line.

This follows sbatch 22.05; `tests/slurm/test_directives.py` compares with sbatch itself.
"""

import re

from mms_dist.errors import ConfigError

MARK = "#SBATCH"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A long option name."""
SHORT = {
    "A": "account",
    "C": "constraint",
    "D": "chdir",
    "G": "gpus",
    "J": "job-name",
    "L": "licenses",
    "M": "clusters",
    "N": "nodes",
    "S": "core-spec",
    "a": "array",
    "b": "begin",
    "c": "cpus-per-task",
    "d": "dependency",
    "e": "error",
    "i": "input",
    "m": "distribution",
    "n": "ntasks",
    "o": "output",
    "p": "partition",
    "q": "qos",
    "t": "time",
    "w": "nodelist",
    "x": "exclude",
}
"""One-letter forms of options with a value."""
SHORT_FLAGS = {"H": "hold", "O": "overcommit", "s": "oversubscribe"}

_LONG = re.compile(rf"--(?P<name>{NAME.pattern})(?:=(?P<value>.*))?")
_PLAIN = re.compile(r"[\w@%+=:,./*|&()[\]-]+")


def read_directive(line: str) -> list[tuple[str, str]]:
    """Return the options in a line that begins with `MARK`, by their long names; a flag's value is empty.

    Raises:
        ConfigError: the line contains something that is not an option.
    """
    words = _words(line.removeprefix(MARK))
    options: list[tuple[str, str | None]] = []
    for at, word in enumerate(words):
        if at and word[0] != "-" and options[-1][1] is None:
            options[-1] = (options[-1][0], word)  # the value of the previous option
        elif match := _LONG.fullmatch(word):
            options.append((match["name"], match["value"]))
        elif word in [f"-{letter}" for letter in SHORT_FLAGS]:
            options.append((SHORT_FLAGS[word[1]], ""))
        elif word[0] == "-" and word[1:2] in SHORT:
            options.append((SHORT[word[1]], word[2:] or None))
        else:
            raise ConfigError(
                f"batch script: found {word!r} in the line {line.strip()!r}, expected long sbatch options, such as "
                f"{MARK} --partition=gpu"
            )
    return [(name, value or "") for name, value in options]


def write_directive(name: str, value: str) -> str:
    """Return the line that sets one option."""
    return f"{MARK} --{name}={_quoted(value)}" if value else f"{MARK} --{name}"


def _words(text: str) -> list[str]:
    """Split a line as sbatch does.

    Single and double quotes keep words together, a backslash escapes the next character, also inside quotes, and an
    unquoted # starts a comment.
    """
    words: list[str] = []
    word, quote, is_plain = "", "", False
    for character in text:
        if not quote and character.isspace():
            words.append(word)
            word, is_plain = "", False
        elif is_plain:
            word, is_plain = word + character, False
        elif character == "\\":
            is_plain = True
        elif character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        elif not quote and character == "#":
            break
        else:
            word += character
    if quote:
        raise ConfigError(f"batch script: unclosed {quote} in the line {(MARK + text).strip()!r}", fix="close it")
    return [each for each in [*words, word] if each]


def _quoted(value: str) -> str:
    """Quote a value the way sbatch reads it; bash never sees it."""
    if _PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
