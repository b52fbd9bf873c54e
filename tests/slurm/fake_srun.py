"""Stands in for `srun` where there is one machine: runs the command's Python module once for each recorded task.

What `launcher.slurm.node` would start is written down, and the run is then said to be finished. Of `mms-dist doctor`,
which is started by srun itself, it is written down where each task takes itself to be.
"""

import json
import os
import runpy
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock


def main(recorded: str, told_to: str, doctor_ends: int, words: list[str]) -> int:
    """`srun OPTIONS … python -m MODULE ARGUMENTS`; like --kill-on-bad-exit it ends with the first task that fails, and
    then says the highest status of all: that of those which it has killed."""
    options, command = words[: words.index("python")], words[words.index("python") + 1 :]
    assert command[0] == "-m", command
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    told: dict[str, Any] = {"options": options, "command": command, "tasks": {}}
    code = 0
    for number, environment in json.loads(Path(recorded).read_text())["steps"].items():
        with mock.patch.dict(os.environ, outside | environment, clear=True):
            if command[1:3] == ["launcher", "doctor"]:
                code, told["tasks"][number] = doctor_ends, place_of_doctor()
            else:
                code, told["tasks"][number] = start_of(command)
        if code:
            break
    Path(told_to).write_text(json.dumps(told))
    is_alone = len(told["tasks"]) == len(json.loads(Path(recorded).read_text())["steps"])
    return code if not code or is_alone else 128 + signal.SIGTERM


def place_of_doctor() -> dict[str, Any]:
    """What `mms-dist doctor` makes of its environment before it looks at anything."""
    from launcher.doctor.machines import machines_of, set_launch_variables

    site = machines_of(os.environ)
    set_launch_variables(os.environ)
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return {"site": asdict(site), "environment": {name: os.environ.get(name) for name in names}}


def start_of(command: list[str]) -> tuple[int, dict[str, Any]]:
    """The exit status of the module, and the command and environment with which it would start a launcher."""
    started: dict[str, Any] = {}

    def launch(words: list[str], env: dict[str, str], **_: Any) -> mock.Mock:
        started.update(command=words, environment=env)
        finish(words)
        return mock.Mock(pid=os.getpid(), poll=lambda: 0)

    try:
        with mock.patch("subprocess.Popen", launch), mock.patch.object(sys, "argv", command[1:]):
            runpy.run_module(command[1], run_name="__main__", alter_sys=False)
    except SystemExit as end:
        return int(end.code or 0), started
    return 0, started


def finish(words: list[str]) -> None:
    """What rank 0 would leave behind at the end of a run."""
    from mms_dist.config import load_config
    from mms_dist.run_directory.status_file import RunState, begin

    config = load_config(words[words.index("--config") + 1])
    directory = Path(config.run.directory)
    directory.mkdir(parents=True, exist_ok=True)
    attempt = begin(directory, processes=1, automatic=False, allowed=3)
    attempt.restored(round=0, steps=0)
    attempt.finish(RunState.FINISHED, exit_code=0, round=1, steps=1)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
