"""The `mms-dist` command: finds the commands, runs one, and turns what goes wrong into one line and a status.

Exit status: 0 done · 1 the work or a part of it failed, or a bug of ours · 2 something the user can fix · 65 a run has
ended, and languages are in quarantine · 70 restarts do not help · 75 stopped, run it again · 130 interrupted · 141 the
reader of the output has gone.
"""

import argparse
import difflib
import errno
import importlib
import os
import pkgutil
import platform
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import launcher.commands
from launcher.arguments import GivenOnce, home_expanded
from launcher.leave import leave
from launcher.streams import complain, reader_has_gone, settle_sizes, settle_streams, silence_output
from mms_dist import __version__
from mms_dist.errors import ExitCode

_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# The order in which someone new meets the commands. A command that is missing here is listed last.
ORDER = ("demo", "shards", "plan", "doctor", "debug", "train", "submit", "status", "report", "eval", "export")

DESCRIPTION = "Train many MMS language adapters at once on one frozen, shared model."
EPILOG = """\
quick start:
  mms-dist demo                                            the whole path on the recordings that ship with it
  mms-dist shards build recordings.tsv corpus/             your audio and transcripts -> WebDataset shards
  mms-dist debug  --config configs/train/mms-300m.yaml     a few utterances, every check, no surprises later
  mms-dist train  --config configs/train/mms-300m.yaml     all languages, resumed by the same command
  mms-dist report runs/mms-300m                            where every language stands
  mms-dist export runs/mms-300m                            a folder that Hugging Face loads

`mms-dist COMMAND --help` explains a command."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors look like every other error of the program."""

    commands: Any = None
    advice = ""
    """What to do about words that are not understood."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("type", None, home_expanded)
        self.register("type", Path, lambda text: Path(home_expanded(text)))
        for name in (None, "store"):
            self.register("action", name, GivenOnce)

    def add_subparsers(self, **kwargs: Any) -> Any:
        """As argparse's; the commands are remembered for `parse_known_args`."""
        self.commands = super().add_subparsers(**kwargs)
        return self.commands

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse's, but a command's own parser refuses what it does not know, and so names the right help."""
        given = list(sys.argv[1:] if args is None else args)
        if self.commands is not None and given and not given[0].startswith("-"):
            self.check_command(given[0], list(self.commands.choices))
        found, unknown = super().parse_known_args(given, namespace)
        if unknown and self.commands is None:
            options = difflib.get_close_matches(unknown[0], self._option_string_actions, n=1)
            hint = f" (did you mean {options[0]!r}?)" if options else ""
            self.error(f"it does not know {' '.join(unknown)}{hint}{Parser.advice}")
        return found, unknown

    def check_command(self, chosen: str, names: Sequence[str]) -> None:
        """Stop, naming the nearest command, if `chosen` is none of `names`."""
        if chosen not in names:
            near = difflib.get_close_matches(chosen, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "the commands are: " + ", ".join(names)
            self.error(f"there is no command {chosen!r}; {hint}")

    def error(self, message: str) -> NoReturn:
        """Print `error: …` and where help is, and exit with 2."""
        complain(f"error: {message}\nsee: {self.prog} --help")
        raise SystemExit(ExitCode.USER_ERROR)


def command_names() -> list[str]:
    """The commands that exist, in the order in which help lists them."""
    found = sorted(module.name for module in pkgutil.iter_modules(launcher.commands.__path__))
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def run() -> NoReturn:
    """`main` with the process's own arguments, as a process of its own."""
    leave(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mms-dist` with `argv` (the process's own arguments by default) and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    settle_streams()
    settle_sizes()
    try:
        try:
            status = _dispatch(arguments)
        except SystemExit as stop:  # argparse: help, version, errors of usage
            status = stop.code if isinstance(stop.code, int) else ExitCode.FAILED
        sys.stdout.flush()  # a closed pipe shows here and not in the interpreter's last breath
        return status
    except KeyboardInterrupt:
        complain("\ninterrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        return _status_of(error)


def _status_of(error: Exception) -> int:
    """Say what went wrong, and give the exit status for it."""
    if isinstance(error, BrokenPipeError) and reader_has_gone():
        return ExitCode.READER_GONE
    if isinstance(error, _errors_of_the_user()):
        _say(error)
        return int(getattr(error, "exit_code", ExitCode.USER_ERROR))
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _OF_WRITING):
        silence_output()
        complain(f"error: {error.filename or 'cannot write'}: {error.strerror}; {_advice(error)}")
        return ExitCode.FAILED
    complain(
        f"{traceback.format_exc()}error: mms-dist {__version__} stopped on an unexpected {type(error).__name__}. "
        "If the message above does not tell you what to fix, please open an issue with the command, "
        f"the traceback and this line (Python {platform.python_version()}, {platform.platform()})."
    )
    return ExitCode.FAILED


def _dispatch(arguments: list[str]) -> int:
    names = command_names()
    chosen = arguments[0] if arguments else ""
    if chosen and not chosen.startswith("-"):
        _parser({}).check_command(chosen, names)
    # Only the chosen command is imported; help and usage errors import all of them.
    modules = {name: _module(name) for name in ([chosen] if chosen in names else names)}
    parser = _parser(modules)
    if not arguments:
        parser.print_help()
        return ExitCode.USER_ERROR
    takes_settings = chosen in names and getattr(modules[chosen], "ACCEPTS_SETTINGS", False)
    settings, arguments = split_settings(arguments) if takes_settings else ([], arguments)
    lists = any(setting.startswith("--data.languages") for setting in settings)
    Parser.advice = "; several languages are one word: --data.languages ron,ita" if lists else ""
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"{args.command} does not know {' '.join(unknown)}; see: mms-dist {args.command} --help")
    args.settings = settings
    return int(modules[args.command].run(args))


def split_settings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings such as `--optim.lr 5e-4` or `--optim.lr=5e-4`, and all other arguments."""
    settings: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if not name.startswith("--") or "." not in name:
            others.append(argument)
            continue
        settings.append(argument)
        if not equals and (value := next(rest, None)) is not None:
            settings.append(value)
    return settings, others


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"launcher.commands.{name}")


def _parser(modules: dict[str, ModuleType]) -> Parser:
    parser = Parser(
        prog="mms-dist",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mms-dist {__version__}")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for module in modules.values():
        module.add_parser(subparsers)
    return parser


def _say(error: Exception) -> None:
    """One of several processes says which it is; one that only follows another says nothing."""
    from mms_dist.errors import PeerError

    if isinstance(error, PeerError):
        return
    rank, several = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "1") != "1"
    who = f" on rank {rank}" if several and rank else ""
    complain(f"error{who}: {error}")


def _advice(error: OSError) -> str:
    if error.filename is None:
        return "free space where standard output goes, or let it go elsewhere"
    full = error.errno in _OF_WRITING
    return "free space there" if full else "make it readable and writable, or choose another place"


def _errors_of_the_user() -> tuple[type[Exception], ...]:
    from mms_dist.errors import MmsDistError
    from shards.errors import ShardsError

    return (MmsDistError, ShardsError)


if __name__ == "__main__":
    run()
