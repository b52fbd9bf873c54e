"""The shipped scripts in the environments of real jobs of 1, 2 and 64 nodes: names, ports and counts.

The jobs were recorded; `srun`, `scontrol` and `squeue` are stand-ins, long commands are written down and not run, and
everything else is real.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from launcher.slurm.environment import ClusterPlace, expand_hosts
from launcher.slurm.language_groups import group
from launcher.slurm.node import launch_command
from mms_dist.config import Config
from mms_dist.config.load import write_config
from mms_dist.config.schema import Run
from mms_dist.errors import ConfigError
from tests.corpus import toy_languages
from tests.launch_configs import Start, start_of
from tests.slurm.recordings import FOLDER, HETEROGENEOUS, JOBS, NO_GPUS_ASKED_FOR, NUMBER, PORT, UNEVEN_GPUS, Job, Stage


@pytest.fixture(params=JOBS, ids=lambda job: job.name)
def job(request: pytest.FixtureRequest) -> Job:
    return request.param


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> str:
    write_config(Config(run=Run(directory=str(tmp_path / "run"))), tmp_path / "config.yaml")
    return str(tmp_path / "config.yaml")


def test_the_training_script_starts_one_launcher_on_each_machine(job: Job, stage: Stage, config: str) -> None:
    ended = stage.run_shipped("train", [config, "--optim.lr", "5e-4"], job)
    assert ended.returncode == 0, ended.stderr
    assert not stage.asked_of_scontrol, "a finished run is not requeued"
    assert f"{job.world} processes on {job.machines} machine" in ended.stderr
    _assert_one_task_on_each_machine(stage, job)
    for number, task in stage.told["tasks"].items():
        start = _start(task)
        assert (start.processes, int(start.agent.nproc_per_node)) == (job.world, job.processes_per_machine)
        if job.machines > 1:
            assert int(start.agent.node_rank) == int(number)
            assert start.agent.rdzv_backend == "c10d"
            assert start.agent.rdzv_endpoint == f"node01:{PORT}"
        words = [start.agent.training_script, *start.agent.training_script_args]
        assert words[-6:-2] == ["--config", config, "--optim.lr", "5e-4"]
        assert words[-2:] == ["--comm.processes", str(job.world)]


def _assert_one_task_on_each_machine(stage: Stage, job: Job) -> None:
    options = stage.told["options"]
    assert {f"--nodes={job.machines}", f"--ntasks={job.machines}", "--ntasks-per-node=1"} <= set(options)
    assert {"--kill-on-bad-exit=1", "--export=ALL"} <= set(options)
    assert options[-1].endswith("/container"), "the software is in it on every machine"


def _start(task: dict[str, Any]) -> Start:
    """What accelerate makes of the command."""
    words = task["command"]
    return start_of(["accelerate", *words[words.index("launch") :]])


def test_the_debug_script_runs_the_doctor_on_all_machines_then_debug(job: Job, stage: Stage, config: str) -> None:
    ended = stage.run_shipped("debug", [config, "--optim.lr", "5e-4"], job)
    assert ended.returncode == 0, ended.stderr
    _assert_one_task_on_each_machine(stage, job)
    assert stage.told["command"] == ["-m", "launcher", "doctor", "--config", config, "--optim.lr", "5e-4"]
    for number, task in stage.told["tasks"].items():
        site = task["site"]
        assert (site["nodes"], site["processes"], site["here"]) == (job.machines, job.processes_per_machine, True)
        if job.machines > 1:
            assert task["environment"] == {
                "RANK": number,
                "WORLD_SIZE": str(job.machines),
                "LOCAL_RANK": "0",
                "MASTER_ADDR": "node01",
                "MASTER_PORT": str(PORT),
            }
    assert stage.commands("debug") == [["--config", config, "--optim.lr", "5e-4"]]


@pytest.mark.parametrize(("doctor", "debug"), [(1, 0), (0, 3), (1, 3), (3, 1)])
def test_the_debug_script_ends_with_the_worse_of_what_its_two_steps_say(
    stage: Stage, config: str, doctor: int, debug: int
) -> None:
    ended = stage.run_shipped("debug", [config], JOBS[0], ends=debug, doctor_ends=doctor)
    assert ended.returncode == max(doctor, debug), ended.stderr
    assert stage.commands("debug") == [["--config", config]], "whatever the machines are like"


def test_the_scoring_script_scores_once_whatever_machines_it_has(job: Job, stage: Stage) -> None:
    assert stage.run_shipped("eval", ["runs/x y", "--split", "dev"], job, ends=3).returncode == 3
    assert stage.commands("eval") == [["runs/x y", "--split", "dev"]]
    assert not (stage.folder / "told.json").exists(), "on the first machine alone"
    assert not stage.asked_of_scontrol


@pytest.mark.parametrize("tasks", [1, 2])
def test_the_transcribing_script_leaves_its_share_to_the_command(stage: Stage, tasks: int) -> None:
    path = FOLDER / ("1-node.json" if tasks == 1 else f"{tasks}-tasks.json")
    recorded = json.loads(path.read_text())
    given = ["exported/", "--list", "all talks.tsv"]
    for environment in recorded.get("tasks", {"0": recorded.get("batch")}).values():
        ended = stage.run(stage.shipped("transcribe"), given, path, stage.submitted(environment))
        assert ended.returncode == 0, ended.stderr
        assert stage.commands("transcribe")[-1] == [*given, *([] if tasks == 1 else ["--part", "array"])]


@pytest.mark.parametrize("tasks", [1, 2, 64])
def test_the_tasks_of_the_shards_script_divide_the_languages(stage: Stage, tasks: int) -> None:
    languages = toy_languages(70)
    amounts = Counter({code: 1 + number % 3 for number, code in enumerate(languages)})
    lines = [f"a.wav\ta b\t{code}" for code in amounts.elements()]
    (stage.folder / "all.tsv").write_text("\n".join(["audio\ttext\tlang", *lines]) + "\n")
    arguments = [str(stage.folder / "all.tsv"), "corpus", "--max-seconds", "20"]
    path = FOLDER / ("1-node.json" if tasks == 1 else f"{tasks}-tasks.json")
    recorded = json.loads(path.read_text())
    for number, environment in recorded.get("tasks", {"0": recorded.get("batch")}).items():
        ended = stage.run(stage.shipped("shards"), arguments, path, stage.submitted(environment))
        assert ended.returncode == 0, ended.stderr
        expected = group(amounts, int(number), tasks)
        cpus = environment.get("SLURM_CPUS_PER_TASK", "1")
        assert stage.commands("shards", "build")[-1] == [*arguments, "--workers", cpus, "--only", *expected]
    built = [code for words in stage.commands("shards", "build") for code in words[words.index("--only") + 1 :]]
    assert len(built) == len(set(built)), "no language twice"
    assert tasks == 64 or sorted(built) == languages, "and all of them"


@pytest.mark.parametrize("given", [["--workers", "3"], ["--workers=3"], ["--lang", "taa,tac", "--workers", "3"]])
def test_what_the_shards_script_adds_says_nothing_twice(stage: Stage, given: list[str]) -> None:
    lines = [f"a.wav\ta b\t{code}" for code in toy_languages(3)]
    (stage.folder / "all.tsv").write_text("\n".join(["audio\ttext\tlang", *lines]) + "\n")
    arguments = [str(stage.folder / "all.tsv"), "corpus", *given]
    assert stage.run_shipped("shards", arguments, JOBS[0]).returncode == 0
    asked = ["taa", "tac"] if "--lang" in given else toy_languages(3)
    assert stage.commands("shards", "build") == [[*arguments, "--only", *asked]]


def test_a_single_process_is_a_rank_like_any_other() -> None:
    """Signals are for ranks, and accelerate refuses to start a single one."""
    from torch.distributed.run import parse_args

    place = ClusterPlace.of(JOBS[0].recorded["steps"]["0"])  # without what the batch script adds: one task
    words = launch_command(place, ["--config", "c.yaml"], cpus=2, module="launcher.slurm.rank", logs="logs")
    assert words[:3] == [sys.executable, "-m", "torch.distributed.run"]
    agent = parse_args(words[3:])
    assert (agent.nnodes, agent.nproc_per_node, agent.standalone, agent.module) == ("1:1", "1", True, True)
    assert [agent.training_script, *agent.training_script_args] == ["launcher.slurm.rank", "--config", "c.yaml"]


def test_every_task_knows_its_place(job: Job) -> None:
    for number, environment in job.recorded["steps"].items():
        place = ClusterPlace.of(environment)
        assert list(place.hosts) == list(job.hosts)
        assert (place.machine, place.restarts, place.job) == (int(number), 0, NUMBER)
        assert place.port == ClusterPlace.of(job.recorded["batch"]).port == PORT


def test_gpus_are_counted_where_slurm_tells_their_numbers_only() -> None:
    (job,) = (each for each in JOBS if each.name == "2-nodes-gpu")
    told = ("SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE")
    environment = {name: value for name, value in job.recorded["steps"]["1"].items() if name not in told}
    assert environment["SLURM_STEP_GPUS"] == "0,1,2,3,4,5,6,7"
    assert ClusterPlace.of(environment).processes == 16


def test_a_job_without_the_environment_of_its_user_runs(stage: Stage, config: str) -> None:
    """`--export=NONE`: the job has SLURM's variables only, and srun would hand on nothing if it were not told to."""
    ended = stage.run_shipped("train", [config, "--run.device", "cpu"], NO_GPUS_ASKED_FOR)
    assert ended.returncode == 0, ended.stderr
    assert "4 processes on 2 machines, 2 per machine" in ended.stderr
    assert "--export=ALL" in stage.told["options"]
    assert sorted(stage.told["tasks"]) == ["0", "1"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (UNEVEN_GPUS, "this job has 12 GPUs (8 of them on node01) on 2 machines, expected the same number on each"),
        (NO_GPUS_ASKED_FOR, "the job's first machine has 8 GPUs, but the job requested none"),
    ],
    ids=["dealt out unevenly", "not asked for"],
)
def test_machines_that_would_not_start_what_they_are_to_start_are_told_of(
    stage: Stage, config: str, job: Job, words: str
) -> None:
    ended = stage.run_shipped("train", [config], job)
    assert f"error: {words}" in ended.stderr
    assert "--gpus-per-node" in ended.stderr
    assert not any(stage.told["tasks"].values()), "no launcher is started"
    assert ended.returncode == 2 and not stage.asked_of_scontrol, "it waits for a person, and not in the queue"
    assert "give up: it could not start" in ended.stderr


def test_a_heterogeneous_job_is_refused(stage: Stage, config: str) -> None:
    """`sbatch … : …`: SLURM tells each part of its own machines only, and each would train by itself."""
    ended = stage.run_shipped("train", [config], HETEROGENEOUS)
    assert ended.returncode == 2
    assert "this is a heterogeneous job of 2 components" in ended.stderr
    assert not (stage.folder / "told.json").exists() and not stage.asked_of_scontrol


def test_each_machine_with_another_share_of_the_gpus_says_so() -> None:
    for environment in UNEVEN_GPUS.recorded["steps"].values():
        with pytest.raises(ConfigError, match="expected the same number on each"):
            ClusterPlace.of(environment)


@pytest.mark.parametrize(
    ("names", "hosts"),
    [
        ("node[01-64]", [f"node{number:02}" for number in range(1, 65)]),
        ("a1", ["a1"]),
        ("gpu[098-101],cpu-[1,3]", ["gpu098", "gpu099", "gpu100", "gpu101", "cpu-1", "cpu-3"]),
        ("gpu[01-03,7],login1", ["gpu01", "gpu02", "gpu03", "gpu7", "login1"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
    ],
)
def test_compressed_lists_of_machines_are_spelled_out(names: str, hosts: list[str]) -> None:
    assert expand_hosts(names) == hosts
