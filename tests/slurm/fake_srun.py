"""Stands in for `srun` where there is one machine: runs the command's Python module once for each recorded task.

What `launcher.slurm.node` would start is written down, and the run is then said to be finished.
"""

import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any
from unittest import mock

RECORDED, TOLD = "FAKE_SRUN_RECORDED", "FAKE_SRUN_TOLD"


def main(words: list[str]) -> None:
    """`srun OPTIONS python -m launcher.slurm.node ARGUMENTS`."""
    options, command = words[: words.index("python")], words[words.index("python") + 1 :]
    assert command[0] == "-m", command
    tasks = json.loads(Path(os.environ[RECORDED]).read_text())["steps"]
    told: dict[str, Any] = {"options": options, "module": command[1], "tasks": {}}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    for number, recorded in tasks.items():
        with mock.patch.dict(os.environ, outside | recorded, clear=True):
            told["tasks"][number] = start_of(command)
    Path(os.environ[TOLD]).write_text(json.dumps(told))


def start_of(command: list[str]) -> dict[str, Any]:
    """The command and environment with which the module would start a launcher."""
    started: dict[str, Any] = {}

    def launch(words: list[str], env: dict[str, str], **_: Any) -> mock.Mock:
        started.update(command=words, environment=env)
        finish(words)
        return mock.Mock(pid=os.getpid(), poll=lambda: 0)

    try:
        with mock.patch("subprocess.Popen", launch), mock.patch.object(sys, "argv", command[1:]):
            runpy.run_module(command[1], run_name="__main__", alter_sys=False)
    except SystemExit as end:
        assert not end.code, end.code
    return started


def finish(words: list[str]) -> None:
    """What rank 0 would leave behind at the end of a run."""
    from mms_dist.config import load_config
    from mms_dist.training.attempts import FINISHED, begin

    config = load_config(words[words.index("--config") + 1])
    directory = Path(config.run.directory)
    directory.mkdir(parents=True, exist_ok=True)
    attempt = begin(directory, processes=1, automatic=False, allowed=3)
    attempt.restored(round=0, steps=0)
    attempt.finish(FINISHED, exit_code=0, round=1, steps=1)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    main(sys.argv[1:])
