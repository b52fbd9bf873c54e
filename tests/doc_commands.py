"""The commands of the documentation, and whether the programs that they name would understand them.

A command is checked by the parser of its own program and never run. Names in capitals (RUN, CONFIG, N …) stand for
values; where a command is shortened with `…`, its flags are checked and its arguments are not.
"""

import argparse
import contextlib
import importlib
import importlib.util
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

from launcher.cli import _module, _parser, command_names, split_settings
from mms_dist.config.load import parse_config
from mms_dist.errors import ConfigError

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "docs", "launcher", "mms_dist", "shards", "slurm", "tests", "tools")
WRONG_ON_PURPOSE = ("--optim.learning_rate", "1")
"""In the example of what `doctor` finds."""
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:(?<=\n\n)|^)((?: {4,}(?![-*] ).+\n)+)", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*")
_SEPARATORS = ("&&", "||", "|", ";", "&")
_ELIDED = ("…", "...")


def problems(text: str) -> list[str]:
    """Everything in a page's commands and paths that does not exist, as `command: what is wrong`."""
    found = []
    for line in command_lines(text):
        found += [f"{line.strip()}: {problem}" for problem in _of_line(line)]
    for code in _INLINE.findall(_without_blocks(text)):
        code = code.replace("\\|", "|")
        if _PATH.fullmatch(code) and not (ROOT / code).exists():
            found.append(f"{code}: there is no such file")
        elif code.startswith(("mms-dist ", "make ", "python -m tests", "python tools/")):
            whole = code.startswith("python ") and " --" in code  # of ours often the name alone, as `mms-dist debug`
            found += [f"{code}: {problem}" for problem in _of_line(code, whole=whole)]
    return found


def command_lines(text: str) -> Iterator[str]:
    """The lines of a page's code blocks, those that end with a backslash joined to the next.

    If a block has lines that begin with `$ `, these alone: the others are what the commands print.
    """
    blocks = [block for language, block in _FENCED.findall(text) if language != "python"]
    blocks += _INDENTED.findall(_FENCED.sub("\n", text))
    for block in blocks:
        lines = re.sub(r"\\\n\s*", " ", block).splitlines()
        typed = [line[2:] for line in lines if line.startswith("$ ")]
        yield from typed or [re.sub(r"^\d+ +", "", line) for line in lines]


def _without_blocks(text: str) -> str:
    return _INDENTED.sub("\n", _FENCED.sub("\n", text))


def _of_line(line: str, *, whole: bool = True) -> Iterator[str]:
    """What is wrong with one line of shell; nothing if it is output, or no command of ours."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # quotation marks of what a command prints
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in _SEPARATORS:
            command.append(word)
        elif command:
            yield from _of_command(command, whole=whole)
            command = []


def _of_command(words: Sequence[str], *, whole: bool) -> Iterator[str]:
    if not any(word in _STARTS for word in words):
        return
    for word in words:
        path = word.partition("=")[2] or word
        if _PATH.fullmatch(path) and not (ROOT / path).exists():
            yield f"there is no {path}"
    for number, word in enumerate(words):
        rest = list(words[number + 1 :])
        if word == "bash" and rest[:1] == ["-c"]:
            yield from _of_line(rest[1])
            return
        if word in ("python", "python3") and rest[:1] == ["-m"] and rest[1] in _MAINS:
            yield from _parsed(partial(_stopped, _MAINS[rest[1]](), rest[2:]), rest, whole)
            return
        if word in ("python", "python3") and rest[:1] and rest[0].startswith("tools/"):
            yield from _parsed(partial(_stopped, _main_of_file(rest[0]), rest[1:]), rest, whole)
            return
        if word in _CHECKS:
            yield from _CHECKS[word](rest, whole)
        if word in ("mms-dist", "make"):
            return


def _mms_dist(words: list[str], whole: bool) -> Iterator[str]:
    if not words or words[0] in _ELIDED:
        return
    if words[0] not in command_names():
        yield f"there is no command {words[0]!r}"
        return
    module = _module(words[0])
    settings, others = split_settings(words) if getattr(module, "ACCEPTS_SETTINGS", False) else ([], words)
    yield from _settings(settings)
    parser = _parser({words[0]: module})
    yield from _parsed(lambda: parser.parse_args(["3" if word == "N" else word for word in others]), others, whole)
    of_command = parser
    for word in others:  # by their whole names, which the parser would let be shortened
        if word in getattr(of_command.commands, "choices", {}):
            of_command = of_command.commands.choices[word]
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in of_command._option_string_actions:
            yield f"{' '.join(words[:2])} does not know {flag}"


def _settings(settings: list[str]) -> Iterator[str]:
    for number in range(len(settings)):
        if tuple(settings[number : number + 2]) == WRONG_ON_PURPOSE:
            settings = settings[:number] + settings[number + 2 :]
            break
    try:
        parse_config({}, settings)
    except ConfigError as error:
        yield str(error)


def _launcher_train(words: list[str], whole: bool) -> Iterator[str]:
    yield from _mms_dist(["train", *words], whole)


def _sbatch(words: list[str], whole: bool) -> Iterator[str]:
    """Settings of the script; its options are sbatch's own."""
    scripts = [number for number, word in enumerate(words) if word.endswith(".sbatch") and word.startswith("slurm/")]
    if scripts:
        yield from _settings(split_settings(words[scripts[0] + 1 :])[0])


def _accelerate(words: list[str], whole: bool) -> Iterator[str]:
    from accelerate.commands.launch import launch_command_parser

    yield from _parsed(lambda: launch_command_parser().parse_args(words[1:]), words, whole)


def _torchrun(words: list[str], whole: bool) -> Iterator[str]:
    from torch.distributed.run import get_args_parser

    yield from _parsed(lambda: get_args_parser().parse_args(words), words, whole)
    if "-m" in words and words[words.index("-m") + 1] in _MAINS:
        module = words.index("-m") + 1
        yield from _parsed(partial(_stopped, _MAINS[words[module]](), words[module + 1 :]), words, whole)


def _make(words: list[str], whole: bool) -> Iterator[str]:
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for word in words:
        if word not in targets:
            yield f"Makefile has no {word}"


class _Stop(Exception):
    """The arguments are parsed."""


def _parsed(parse: Callable[[], object], words: Sequence[str], whole: bool) -> Iterator[str]:
    """What a parser says against its arguments."""
    if not whole or any(word in _ELIDED for word in words):
        return
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse()
    except _Stop:
        pass
    except SystemExit as stop:
        if stop.code:
            yield " ".join(said.getvalue().split()) or f"exit status {stop.code}"


def _stopped(main: Callable[[list[str]], object], words: list[str]) -> None:
    """Let a program parse its arguments, and do nothing after that."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> None:
        original(self, args, namespace)
        raise _Stop

    with mock.patch.object(argparse.ArgumentParser, "parse_args", parse_args):
        main(words)


@cache
def _main(module: str) -> Callable[[list[str]], object]:
    main: Callable[[list[str]], object] = importlib.import_module(module).main
    return main


@cache
def _main_of_file(path: str) -> Callable[[list[str]], object]:
    spec = importlib.util.spec_from_file_location("documented_tool", ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    main: Callable[[list[str]], object] = module.main
    return main


_MAINS: dict[str, Callable[[], Callable[[list[str]], object]]] = {
    "tests.gpu": lambda: _main("tests.gpu.__main__"),
    "tests.gpu.many": lambda: _main("tests.gpu.many"),
    "tests.benchmarks": lambda: _main("tests.benchmarks.__main__"),
}
_CHECKS: dict[str, Callable[[list[str], bool], Iterator[str]]] = {
    "mms-dist": _mms_dist,
    "launcher.train": _launcher_train,
    "sbatch": _sbatch,
    "accelerate": _accelerate,
    "torchrun": _torchrun,
    "make": _make,
}
_STARTS = {*_CHECKS, "deepspeed", "srun", "bash", "sh", "pytest", "python", "python3", "pip", "source", "$EDITOR"}
