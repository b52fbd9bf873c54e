"""What runs in a forked rank: a function by its dotted name, with a dictionary of notes that goes in and comes out.

`train` is the one for training: it runs the command itself and lets a test watch the components before every round.
"""

import contextlib
import ctypes
import importlib
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from launcher import cli
from mms_dist.training.components import RunComponents
from mms_dist.training.observers import OBSERVERS
from tests.training import BeforeRounds

Notes = dict[str, Any]
Watch = Callable[[RunComponents, Notes], None]

_PR_SET_PDEATHSIG = 1


def resolve(name: str) -> Any:
    """`package.module:function`."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def run_rank(target: str, notes: Notes, environment: dict[str, str], log: Path, kept: Path) -> None:
    """The body of a forked process: `target(notes)`, everything it prints in `log`, its notes in `kept`.

    The exit code is what `target` returns (None is 0), or 1 after an exception.
    """
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the server goes with pytest, and the rank with it
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    code = 1
    try:
        code = resolve(target)(notes) or 0
    except BaseException:
        traceback.print_exc()
    finally:
        kept.write_bytes(pickle.dumps(notes))
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)


def train(notes: Notes) -> int:
    """`mms-dist train --config notes["config"]`; `notes["watch"]` names a `Watch` that is called before every round."""
    command = ["train", "--config", notes["config"]]
    if notes["watch"] is None:
        return cli.main(command)
    with _watched(resolve(notes["watch"]), notes):
        return cli.main(command)


def stop_after(components: RunComponents, notes: Notes) -> None:
    """A `Watch`: stop, as on a signal, after `notes["rounds"]` rounds of this start.

    The signal comes to the rank `notes["rank"]`, or (None) to all of them.
    """
    first = notes.setdefault("first", components.loop.round)
    if notes.get("rank") in (None, int(os.environ["RANK"])):
        components.loop.stop_requested = lambda: components.loop.round >= first + notes["rounds"]


@contextlib.contextmanager
def _watched(watch: Watch, notes: Notes) -> Iterator[None]:
    """Every run inside has its components shown to `watch` before each of its rounds."""

    def observer(components: RunComponents) -> BeforeRounds:
        return BeforeRounds(components, lambda shown: watch(shown, notes))

    OBSERVERS.append(observer)
    try:
        yield
    finally:
        OBSERVERS.remove(observer)
