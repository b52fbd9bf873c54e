"""Recorded jobs, and a folder in which the shipped scripts run as they would in one."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "recorded"
NUMBER = 31_415_926
PORT = 12_000 + NUMBER % 20_000


@dataclass(frozen=True)
class Job:
    """A recorded job, and what is known of it."""

    name: str
    hosts: Sequence[str]
    processes_per_machine: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def recorded(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def machines(self) -> int:
        return len(self.hosts)

    @property
    def world(self) -> int:
        return self.machines * self.processes_per_machine


TWO = ("node01", "node02")
JOBS = [
    Job("1-node", ["node01"], 2),
    Job("2-nodes", TWO, 2),
    Job("2-nodes-gpu", TWO, 8),
    Job("2-nodes-half-of-gpus", TWO, 4),
    Job("64-nodes-gpu", [f"node{number:02}" for number in range(1, 65)], 8),
]
UNEVEN_GPUS, NO_GPUS_ASKED_FOR = Job("2-nodes-uneven-gpus", TWO, 0), Job("2-nodes-export-none", TWO, 2)
HETEROGENEOUS = Job("heterogeneous", ["node01"], 1)

PROGRAMS = {
    "srun": 'exec {python} {here}/fake_srun.py {recorded} {folder}/told.json {doctor_ends} "$@"',
    "scontrol": 'echo "$@" >>{folder}/scontrol; exit 1',
    "squeue": "echo RUNNING None",
    # All commands of ours go through it. Those that are long are written down and not run.
    "container": """printf '%q ' "$@" >>{folder}/contained; echo >>{folder}/contained
case "$*" in
    "python -m launcher debug"* | "python -m launcher eval"* | "python -m launcher shards build"*) exit {ends} ;;
    "python -m launcher transcribe"*) exit {ends} ;;
esac
exec "$@\"""",
}
SITE = """\
site_setup() { export PATH=%s:%s:$PATH PYTHONPATH=%s; }
IN_CONTAINER=(%s/container)
"""


class Stage:
    """The folder `mms-dist` has slurm/, and a site's file that leads to stand-ins for SLURM's programs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "mms-dist"
        shutil.copytree(ROOT / "slurm", self.home / "slurm")
        programs = folder / "programs"
        programs.mkdir()
        (self.home / "slurm" / "site.sh").write_text(
            SITE % (programs, Path(sys.executable).parent, ROOT, programs), encoding="utf-8"
        )

    def run(
        self,
        script: Path,
        arguments: Sequence[str],
        job: Path,
        environment: Mapping[str, str],
        ends: int = 0,
        doctor_ends: int = 0,
    ) -> "subprocess.CompletedProcess[str]":
        """A batch script in a job's environment and nothing else but what a login gives.

        Args:
            job: the recording of its tasks.
            environment: of the batch script.
            ends: the exit status of a command that is not really run.
            doctor_ends: that of `mms-dist doctor` on the job's machines, of which only the place is looked at.
        """
        values = {"python": sys.executable, "here": Path(__file__).parent, "folder": self.folder, "recorded": job}
        values |= {"ends": ends, "doctor_ends": doctor_ends}
        for name, body in PROGRAMS.items():
            path = self.folder / "programs" / name
            path.write_text("#!/bin/bash\n" + body.format(**values) + "\n")
            path.chmod(0o755)
        login = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            ["bash", str(script), *arguments],
            env=login | dict(environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def run_shipped(
        self, name: str, arguments: Sequence[str], job: Job, *, ends: int = 0, doctor_ends: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        """A shipped script as it is."""
        environment = self.submitted(job.recorded["batch"])
        return self.run(self.shipped(name), arguments, job.path, environment, ends, doctor_ends)

    def shipped(self, name: str) -> Path:
        return self.home / "slurm" / f"{name}.sbatch"

    def submitted(self, environment: Mapping[str, str]) -> dict[str, str]:
        """A job's environment, had it been submitted in the home of the scripts."""
        return dict(environment) | {"SLURM_SUBMIT_DIR": str(self.home)}

    @property
    def told(self) -> dict[str, Any]:
        """What srun was asked for, and what came of it in every task."""
        return json.loads((self.folder / "told.json").read_text())

    def commands(self, *words: str) -> list[list[str]]:
        """What the batch script itself has run of `python -m launcher WORDS …`: the arguments."""
        path, head = self.folder / "contained", ["python", "-m", "launcher", *words]
        lines = [shlex.split(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line[len(head) :] for line in lines if line[: len(head)] == head]

    @property
    def asked_of_scontrol(self) -> bool:
        return os.path.exists(self.folder / "scontrol")
