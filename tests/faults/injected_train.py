"""`launcher.train` with the faults that the environment asks for; writes down the exit code that launchers mask."""

import os
import sys

from launcher import cli
from launcher.process_exit import exit_process
from tests.faults.injection import Injector


def main(arguments: list[str]) -> int:
    injector = Injector(os.environ)
    injector.install()
    code = cli.main(["train", *arguments])
    injector.note("exit", code)
    return code


def forked(notes: dict[str, str]) -> int:
    """The same as a rank of `tests.distributed.ranks`."""
    return main(["--config", notes["config"]])


if __name__ == "__main__":
    exit_process(main(sys.argv[1:]))
