"""Training on several processes of this machine: the command that starts them."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from packaging.version import Version

from launcher.child import run_child

SHUTDOWN_TIMEOUT_SINCE = (2, 12)
"""The torch whose torchrun has `--shutdown_timeout`. One before it kills what is left 30 s after a signal, always."""


def launcher_variables() -> dict[str, str]:
    """What torchrun, alone or below accelerate, is told by its environment; only what the installed torch knows."""
    # It would die of SIGUSR1 and leave the training behind; the others it knows by itself.
    variables = {"PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"}
    if Version(metadata.version("torch")).release[:2] >= SHUTDOWN_TIMEOUT_SINCE:
        # Seconds from a signal to its kill -9, in which a round and the saving must fit. It allows 30 by itself.
        variables["PET_SHUTDOWN_TIMEOUT"] = "300"
    return variables


def train_command(processes: int, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """What one would type to run `launcher.train` with `arguments` on so many processes of this machine.

    The cores are divided among them, unless OMP_NUM_THREADS in `environment` says how many threads each has: the
    launcher would give each one thread.
    """
    share = max(1, len(os.sched_getaffinity(0)) // processes)
    threads = [] if environment.get("OMP_NUM_THREADS") else ["--num_cpu_threads_per_process", str(share)]
    # Everything that a file of `accelerate config` in the user's home would otherwise decide is said here.
    return [
        *("accelerate", "launch", "--multi_gpu", "--num_machines", "1", "--num_processes", str(processes)),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", *threads),
        *("-m", "launcher.train", *arguments, "--comm.processes", str(processes)),
    ]


def run_launcher(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run what `train_command` gave and return the launcher's exit status.

    Launchers hide the exit status of what they start: 0 is 0, everything else may be 1. RUN/status.json has it.
    """
    accelerate = [sys.executable, "-m", "accelerate.commands.accelerate_cli"]  # of this Python, wherever PATH leads
    return run_child([*accelerate, *command[1:]], {**environment, **launcher_variables()})
