"""The command that starts training on several processes of this machine."""

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from packaging.version import Version

from launcher.child import run_child

SHUTDOWN_TIMEOUT_SINCE = (2, 12)
"""First torch release whose torchrun has `--shutdown_timeout`. Earlier ones always kill 30 s after a signal."""


def launcher_variables() -> dict[str, str]:
    """Return the environment variables for torchrun, alone or under accelerate, that the installed torch supports."""
    # SIGUSR1 would kill torchrun and leave the training processes behind. The other signals are its default.
    variables = {"PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"}
    if Version(metadata.version("torch")).release[:2] >= SHUTDOWN_TIMEOUT_SINCE:
        # Seconds from a signal to SIGKILL. Finishing a round and saving must fit in; the default is 30.
        variables["PET_SHUTDOWN_TIMEOUT"] = "300"
    return variables


def train_command(processes: int, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs `launcher.train` with `arguments` on `processes` processes of this machine.

    The cores are divided among the processes, since the launcher's default is one thread each. OMP_NUM_THREADS in
    `environment` takes precedence.
    """
    share = max(1, len(os.sched_getaffinity(0)) // processes)
    threads = [] if environment.get("OMP_NUM_THREADS") else ["--num_cpu_threads_per_process", str(share)]
    # Set everything that a file written by `accelerate config` in the user's home would otherwise decide.
    return [
        *("accelerate", "launch", "--multi_gpu", "--num_machines", "1", "--num_processes", str(processes)),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", *threads),
        *("-m", "launcher.train", *arguments, "--comm.processes", str(processes)),
    ]


def run_launcher(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command from `train_command` and return the launcher's exit status.

    Launchers hide the exit status of their processes: 0 is 0, anything else may become 1. RUN/status.json has the
    real one.
    """
    accelerate = [sys.executable, "-m", "accelerate.commands.accelerate_cli"]  # from this Python, whatever PATH says
    return run_child([*accelerate, *command[1:]], {**environment, **launcher_variables()})
