"""The README's page for a cluster's user, from recordings to finished adapters, on a real cluster.

The commands are those of the page, with toy recordings and a toy base in the place of real ones.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus import build_toy_shards
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
CONFIGURATION = """\
run: {{directory: {folder}/runs/toy, device: cpu, threads: 1}}
model: {{base: {base}}}
data: {{shards: {folder}/corpus, workers: 1}}
optim: {{steps: 30, warmup_steps: 4, batch_seconds: 3}}
rounds: {{forward_seconds: 12}}
evaluation: {{every_steps: 15}}
checkpoint: {{every_rounds: 10}}
"""


class Shell:
    """What a user types on the login node."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.environment = cluster.environment | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "VIRTUAL_ENV": sys.prefix,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "160",
        }

    def type(self, command: str) -> str:
        """A command of the page; real names stand for toy ones."""
        toy = {
            "recordings.tsv": f"{self.folder}/source/manifest.tsv",
            "corpus/": f"{self.folder}/corpus",
            "configs/train/mms-300m.yaml": f"{self.folder}/toy.yaml",
            "runs/mms-300m": f"{self.folder}/runs/toy",
            "--gpus-per-node 8": "--processes-per-node 2",
            "--nodes 4": "--nodes 1",
            "--tasks 16": "--tasks 2",
            "--script shards": "--script shards --sbatch cpus-per-task=1",
        }
        for real, stands in toy.items():
            command = command.replace(real, stands)
        words = shlex.split(command)
        assert words[0] == "mms-dist"
        done = subprocess.run(
            [sys.executable, "-m", "launcher", *words[1:]],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, command: str) -> tuple[str, Path]:
        """Submit, and wait for the end: the job, and its log where the command said it would be."""
        out = self.type(command)
        job, log = re.search(r"job (\d+)", out), re.search(r"tail -F (.+)", out)
        assert job and log, out
        # Of an array SLURM reports the task that waits or has run last; all must have ended.
        self.cluster.wait_until(lambda: not self.cluster.run("squeue", "-h", "-j", job[1]), 150.0, job[1])
        path = Path(shlex.split(log[1])[0])
        assert self.cluster.job(job[1])["JobState"] == "COMPLETED", path.read_text()
        return job[1], path


def test_from_recordings_to_finished_adapters(cluster: Cluster, tmp_path: Path, small_base: Path) -> None:
    build_toy_shards(tmp_path / "source", languages=3, train=6, dev=2)
    (tmp_path / "toy.yaml").write_text(CONFIGURATION.format(folder=tmp_path, base=small_base))
    shell = Shell(cluster, tmp_path)

    _, log = shell.submit("mms-dist submit recordings.tsv corpus/ --script shards --tasks 16")
    assert "builds taa" in log.read_text() or "builds tac" in log.read_text(), log.read_text()
    assert sorted(path.parent.name for path in tmp_path.glob("corpus/*/index.json")) == ["taa", "tab", "tac"]

    job, log = shell.submit("mms-dist submit configs/train/mms-300m.yaml --nodes 4 --gpus-per-node 8 --time 8:00:00")
    assert log == tmp_path / "runs" / "toy" / "logs" / f"mms-train-toy-{job}.out"
    text = log.read_text()
    assert "2 processes on 1 machine" in text and "[rank 0]" in text, text

    told = shell.type("mms-dist status runs/mms-300m")
    assert "finished, 2 processes" in told and "3 done" in told
    assert f"{job} COMPLETED" in told and str(log) in told
    values = json.loads(shell.type("mms-dist status runs/mms-300m --json"))
    assert (values["state"], values["steps"], values["job"]["number"]) == ("finished", 90, job)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--sbatch partition=gqu --no-preflight", "sbatch refuses the job: sbatch: error: invalid partition"),
        ("--sbatch partition=gqu", "would not start this job: error: invalid partition"),
        ("--nodes 3", "would not start this job: allocation failure"),
        ("--gpus-per-node 8", "would not start this job: error: Invalid generic resource"),
    ],
)
def test_what_slurm_refuses_is_told_in_its_words(
    cluster: Cluster, tmp_path: Path, small_base: Path, words: str, told: str
) -> None:
    (tmp_path / "toy.yaml").write_text(CONFIGURATION.format(folder=tmp_path, base=small_base))
    command = [sys.executable, "-m", "launcher", "submit", str(tmp_path / "toy.yaml")]
    done = subprocess.run(
        [*command, *words.split()],
        env=Shell(cluster, tmp_path).environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == (2 if "--no-preflight" in words else 1)
    assert told in done.stdout + done.stderr
    assert not cluster.run("squeue", "-h")
