"""The `mms-dist` command: find the subcommands, run one, and turn an error into one line and an exit status.

Exit status: 0 done · 1 the work or part of it failed, or a bug of ours · 2 something the user can fix · 65 a run ended
with languages in quarantine · 70 restarts make no progress · 75 stopped, run it again · 130 interrupted · 141 the
reader of the output closed the pipe.
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
from launcher.console import drop_invalid_sizes, prepare_streams, print_error, reader_has_gone, silence_output
from launcher.process_exit import exit_process
from mms_dist import __version__
from mms_dist.errors import ExitCode

_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# The order in which a new user needs the commands. A command missing here is listed last.
ORDER = (
    "demo",
    "languages",
    "shards",
    "plan",
    "doctor",
    "debug",
    "train",
    "submit",
    "status",
    "report",
    "eval",
    "lm",
    "transcribe",
    "export",
)

DESCRIPTION = "Train many MMS language adapters at once on one frozen, shared model."
EPILOG = """\
quick start:
  mms-dist demo                                            the whole pipeline on the included recordings
  mms-dist shards build recordings.tsv corpus/             your audio and transcripts -> WebDataset shards
  mms-dist debug --config configs/train/mms-300m.yaml --data.shards corpus/    check everything on a few utterances
  mms-dist train --config configs/train/mms-300m.yaml --data.shards corpus/    all languages; run it again to resume
  mms-dist report runs/mms-300m                            progress and error rates of every language
  mms-dist export runs/mms-300m                            a folder that Hugging Face loads

Run `mms-dist COMMAND --help` for help on a command."""


class Parser(argparse.ArgumentParser):
    """An argument parser that prints errors the way the rest of the program does."""

    commands: Any = None
    advice = ""
    """Appended to the error about unrecognised arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("type", None, home_expanded)
        self.register("type", Path, lambda text: Path(home_expanded(text)))
        for name in (None, "store"):
            self.register("action", name, GivenOnce)

    def add_subparsers(self, **kwargs: Any) -> Any:
        """Do as argparse does, and remember the commands for `parse_known_args`."""
        self.commands = super().add_subparsers(**kwargs)
        return self.commands

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Do as argparse does, but let each command's own parser reject unknown arguments, so the error names its help
        page."""
        given = list(sys.argv[1:] if args is None else args)
        if self.commands is not None and given and not given[0].startswith("-"):
            self.check_command(given[0], list(self.commands.choices))
        found, unknown = super().parse_known_args(given, namespace)
        if unknown and self.commands is None:
            options = difflib.get_close_matches(unknown[0], self._option_string_actions, n=1)
            hint = f" (did you mean {options[0]!r}?)" if options else ""
            self.error(f"unrecognised arguments: {' '.join(unknown)}{hint}{Parser.advice}")
        return found, unknown

    def check_command(self, chosen: str, names: Sequence[str]) -> None:
        """Exit with an error that names the closest command if `chosen` is not in `names`."""
        if chosen not in names:
            near = difflib.get_close_matches(chosen, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "the commands are: " + ", ".join(names)
            self.error(f"there is no command {chosen!r}; {hint}")

    def error(self, message: str) -> NoReturn:
        """Print `error: …` and how to get help, and exit with 2."""
        print_error(f"error: {message}\nsee: {self.prog} --help")
        raise SystemExit(ExitCode.USER_ERROR)


def command_names() -> list[str]:
    """Return the available commands in the order in which help lists them."""
    found = sorted(module.name for module in pkgutil.iter_modules(launcher.commands.__path__))
    return sorted(found, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def run() -> NoReturn:
    """Run `main` with this process's arguments, and end the process with its status."""
    exit_process(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run `mms-dist` with `argv` (default: this process's arguments) and return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    drop_invalid_sizes()
    try:
        try:
            status = _dispatch(arguments)
        except SystemExit as stop:  # argparse: help, version, usage errors
            status = stop.code if isinstance(stop.code, int) else ExitCode.FAILED
        sys.stdout.flush()  # report a closed pipe here, and not while the interpreter shuts down
        return status
    except KeyboardInterrupt:
        print_error("\ninterrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        return _status_of(error)


def _status_of(error: Exception) -> int:
    """Print what went wrong and return the exit status for it."""
    if isinstance(error, BrokenPipeError) and reader_has_gone():
        return ExitCode.READER_GONE
    if isinstance(error, _user_errors()):
        _print_exception(error)
        return int(getattr(error, "exit_code", ExitCode.USER_ERROR))
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _WRITE_ERRORS):
        silence_output()
        print_error(f"error: {error.filename or 'cannot write'}: {error.strerror}; {_fix(error)}")
        return ExitCode.FAILED
    print_error(
        f"{traceback.format_exc()}error: mms-dist {__version__} stopped on an unexpected {type(error).__name__}. "
        "If the message above does not show what to fix, please open an issue with the command, "
        f"the traceback and this line (Python {platform.python_version()}, {platform.platform()})."
    )
    return ExitCode.FAILED


def _dispatch(arguments: list[str]) -> int:
    names = command_names()
    chosen = arguments[0] if arguments else ""
    if chosen and not chosen.startswith("-"):
        _parser({}).check_command(chosen, names)
    # Import only the chosen command; help and usage errors need all of them.
    modules = {name: _module(name) for name in ([chosen] if chosen in names else names)}
    parser = _parser(modules)
    if not arguments:
        parser.print_help()
        return ExitCode.USER_ERROR
    takes_settings = chosen in names and getattr(modules[chosen], "ACCEPTS_SETTINGS", False)
    settings, arguments = split_settings(arguments) if takes_settings else ([], arguments)
    sets_languages = any(setting.startswith("--data.languages") for setting in settings)
    Parser.advice = "; separate languages by commas: --data.languages ron,ita" if sets_languages else ""
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(
            f"{args.command}: unrecognised arguments: {' '.join(unknown)}; see: mms-dist {args.command} --help"
        )
    args.settings = settings
    return int(modules[args.command].run(args))


def split_settings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate settings such as `--optim.lr 5e-4` or `--optim.lr=5e-4` from all other arguments."""
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


def _print_exception(error: Exception) -> None:
    """Print an error, with the rank if there are several. A rank that stops because of another rank prints nothing."""
    from mms_dist.errors import PeerError

    if isinstance(error, PeerError):
        return
    rank, several = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "1") != "1"
    who = f" on rank {rank}" if several and rank else ""
    print_error(f"error{who}: {error}")


def _fix(error: OSError) -> str:
    if error.filename is None:
        return "free space where standard output is written, or redirect it elsewhere"
    full = error.errno in _WRITE_ERRORS
    return "free space there" if full else "make it readable and writable, or choose another place"


def _user_errors() -> tuple[type[Exception], ...]:
    from mms_dist.errors import MmsDistError
    from shards.errors import ShardsError

    return (MmsDistError, ShardsError)


if __name__ == "__main__":
    run()
