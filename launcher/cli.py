"""The `mms-dist` command: finds the commands, runs one, and turns what goes wrong into one line and a status.

Exit status: 0 done · 1 the work or a part of it failed, or a bug of ours · 2 something the user can mend · 65 a run has
ended, and languages are in quarantine · 70 restarts do not help · 75 stopped, run it again · 130 interrupted · 141 the
reader of the output has gone.
"""

import argparse
import difflib
import importlib
import io
import os
import pkgutil
import platform
import select
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

import launcher.commands
from launcher.leave import leave
from mms_dist import __version__

EXIT_FAILED = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE

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
            self.error(f"it does not know {' '.join(unknown)}{hint}")
        return found, unknown

    def check_command(self, chosen: str, names: Sequence[str]) -> None:
        """Stop, naming the nearest command, if `chosen` is none of `names`."""
        if chosen not in names:
            near = difflib.get_close_matches(chosen, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "the commands are: " + ", ".join(names)
            self.error(f"there is no command {chosen!r}; {hint}")

    def error(self, message: str) -> NoReturn:
        """Print `error: …` and where help is, and exit with 2."""
        print(f"error: {message}\nsee: {self.prog} --help", file=sys.stderr)
        raise SystemExit(EXIT_USER)


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # transcripts have more characters than some terminals
            stream.reconfigure(errors="replace")
    try:
        try:
            status = _dispatch(arguments)
        except SystemExit as stop:  # argparse: help, version, errors of usage
            status = stop.code if isinstance(stop.code, int) else EXIT_FAILED
        sys.stdout.flush()  # a closed pipe shows here and not in the interpreter's last breath
        return status
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return EXIT_PIPE_CLOSED
        if isinstance(error, _errors_of_the_user()):
            _say(error)
            return int(getattr(error, "exit_code", EXIT_USER))
        traceback.print_exc()
        print(
            f"error: mms-dist {__version__} stopped on an unexpected {type(error).__name__}. "
            "If the message above does not tell you what to mend, please open an issue with the command, "
            f"the traceback and this line (Python {platform.python_version()}, {platform.platform()}).",
            file=sys.stderr,
        )
        return EXIT_FAILED


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
        return EXIT_USER
    takes_settings = chosen in names and getattr(modules[chosen], "ACCEPTS_SETTINGS", False)
    settings, arguments = split_settings(arguments) if takes_settings else ([], arguments)
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
    print(f"error{who}: {error}", file=sys.stderr)


def _errors_of_the_user() -> tuple[type[Exception], ...]:
    from mms_dist.errors import MmsDistError
    from shards.errors import ShardsError

    return (MmsDistError, ShardsError)


def _reader_has_gone() -> bool:
    """Whether standard output is the pipe that broke (`mms-dist … | head`), and if so, make it silent."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(state & select.POLLERR for _, state in poll.poll(0)):
        return False
    # The interpreter flushes once more on exit and must not find the broken pipe again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


if __name__ == "__main__":
    run()
