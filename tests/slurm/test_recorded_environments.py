"""The shipped scripts in the environments of real jobs of 1, 2 and 64 nodes: names, ports and counts.

The jobs were recorded; here `srun`, `scontrol` and `squeue` are stand-ins, and everything else is real.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from launcher.slurm.environment import ClusterPlace, expand_hosts
from launcher.slurm.launch_command import launch_command
from mms_dist.config import Config
from mms_dist.config.load import write_config
from mms_dist.config.schema import Run
from tests.launch_configs import Start, start_of
from tests.slurm.fake_srun import RECORDED, TOLD

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "recorded"


@dataclass(frozen=True)
class Job:
    """A recorded job, and what is known of it."""

    name: str
    hosts: list[str]
    processes_per_machine: int

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def recorded(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())


JOBS = [
    Job("1-node", ["node01"], 2),
    Job("2-nodes", ["node01", "node02"], 2),
    Job("2-nodes-gpu", ["node01", "node02"], 8),
    Job("64-nodes-gpu", [f"node{number:02}" for number in range(1, 65)], 8),
]
NUMBER = 31_415_926


@pytest.fixture(params=JOBS, ids=lambda job: job.name)
def job(request: pytest.FixtureRequest) -> Job:
    return request.param


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of stand-ins that come first on PATH; each writes down that it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in {
        "srun": f'exec {sys.executable} {Path(__file__).parent / "fake_srun.py"} "$@"',
        "scontrol": f'echo "$@" >>{tmp_path}/scontrol; exit 1',
        "squeue": "echo RUNNING None",
    }.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def _run(script: str, arguments: list[str], job: Job, programs: Path) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
    environment = outside | job.recorded["batch"]
    environment |= {
        "MMS_DIST_HOME": str(ROOT),
        "VIRTUAL_ENV": sys.prefix,
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        RECORDED: str(job.path),
        TOLD: str(programs.parent / "told.json"),
    }
    command = ["bash", str(ROOT / "slurm" / f"{script}.sbatch"), *arguments]
    return subprocess.run(command, env=environment, cwd=programs.parent, capture_output=True, text=True, timeout=100)


def test_the_training_script_starts_one_launcher_a_machine_that_all_meet_on_the_first(
    job: Job, programs: Path, tmp_path: Path
) -> None:
    write_config(Config(run=Run(directory=str(tmp_path / "run"))), tmp_path / "config.yaml")
    ended = _run("train", [str(tmp_path / "config.yaml"), "--optim.lr", "5e-4"], job, programs)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "scontrol").exists(), "a finished run is not requeued"
    machines, world = len(job.hosts), len(job.hosts) * job.processes_per_machine
    assert f"{world} processes on {machines} machine" in ended.stderr
    told = json.loads((tmp_path / "told.json").read_text())
    assert {f"--nodes={machines}", f"--ntasks={machines}", "--ntasks-per-node=1"} <= set(told["options"])
    assert "--kill-on-bad-exit=1" in told["options"]
    for number, task in told["tasks"].items():
        start = _start(task)
        assert (start.processes, int(start.agent.nproc_per_node)) == (world, job.processes_per_machine)
        if machines > 1:
            assert int(start.agent.node_rank) == int(number)
            assert start.agent.rdzv_backend == "c10d"
            assert start.agent.rdzv_endpoint == f"node01:{12_000 + NUMBER % 20_000}"
        words = [start.agent.training_script, *start.agent.training_script_args]
        assert words[-6:-2] == ["--config", str(tmp_path / "config.yaml"), "--optim.lr", "5e-4"]
        assert words[-2:] == ["--comm.processes", str(world)]


def _start(task: dict[str, Any]) -> Start:
    """What accelerate makes of the command."""
    words = task["command"]
    return start_of(["accelerate", *words[words.index("launch") :]])


def test_a_process_that_is_alone_is_a_rank_like_any_other() -> None:
    """Signals are for ranks, and accelerate refuses to start a single one."""
    from torch.distributed.run import parse_args

    (job,) = (each for each in JOBS if each.name == "1-node")
    place = ClusterPlace.of(job.recorded["steps"]["0"])  # without what the batch script adds: one task
    words = launch_command(place, ["--config", "c.yaml"], cpus=2, module="launcher.slurm.rank")
    assert words[:3] == [sys.executable, "-m", "torch.distributed.run"]
    agent = parse_args(words[3:])
    assert (agent.nnodes, agent.nproc_per_node, agent.standalone, agent.module) == ("1:1", "1", True, True)
    assert [agent.training_script, *agent.training_script_args] == ["launcher.slurm.rank", "--config", "c.yaml"]


def test_every_task_knows_its_place(job: Job) -> None:
    for number, environment in job.recorded["steps"].items():
        place = ClusterPlace.of(environment)
        assert list(place.hosts) == job.hosts
        assert (place.machine, place.restarts, place.job) == (int(number), 0, NUMBER)
        assert place.port == ClusterPlace.of(job.recorded["batch"]).port


def test_the_shards_script_builds_the_languages_of_its_task(programs: Path, tmp_path: Path) -> None:
    from tests.corpus import build_toy_shards

    (job,) = (each for each in JOBS if each.name == "1-node")
    build_toy_shards(tmp_path / "toy", languages=3, train=2, dev=1)
    ended = _run("shards", [str(tmp_path / "toy" / "manifest.tsv"), str(tmp_path / "corpus")], job, programs)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.parent.name for path in (tmp_path / "corpus").glob("*/index.json")) == ["taa", "tab", "tac"]


@pytest.mark.parametrize(
    ("names", "hosts"),
    [
        ("node[01-64]", [f"node{number:02}" for number in range(1, 65)]),
        ("a1", ["a1"]),
        ("gpu[098-101],cpu-[1,3]", ["gpu098", "gpu099", "gpu100", "gpu101", "cpu-1", "cpu-3"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
    ],
)
def test_compressed_lists_of_machines_are_spelled_out(names: str, hosts: list[str]) -> None:
    assert expand_hosts(names) == hosts
