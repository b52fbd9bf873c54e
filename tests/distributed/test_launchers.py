"""Every shipped way to start many processes, started: the processes meet, and train what one process trains.

The files for GPUs are started here with CPUs in their place: the same file and command, with the number of processes
and the device replaced on the command line; several machines are several launchers on this one.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import Tensor

from mms_dist.config import Config
from tests.corpus import build_toy_shards, toy_languages
from tests.distributed.launch import Launch, Launched
from tests.distributed.ranks import free_port, train_ranks, written
from tests.faults.injection import Fault, environment
from tests.launch_configs import NAMES, changed, command_of
from tests.training import distance, final_row, start_row, toy_config

LANGUAGES = toy_languages(3)
SCRIPTS = Path(sys.executable).parent  # accelerate, torchrun and deepspeed lie beside this Python
START_SECONDS = 120.0


@dataclass(frozen=True)
class Reference:
    """What one process trains."""

    config: Config
    starts: dict[str, Tensor]

    def compare(self, directory: Path, launches: Sequence[Launched], *, world: int = 2) -> None:
        for launch in launches:
            assert launch.code == 0, launch.log
        status = json.loads((directory / "status.json").read_text())
        assert (status["state"], status["processes"]) == ("finished", world), launches[0].log
        for language in LANGUAGES:
            alone = final_row(Path(self.config.run.directory), language)
            moved = distance(final_row(directory, language), alone, self.starts[language])
            assert moved <= 1e-3, f"{language}: {moved:.2g} away from the run of one process"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, small_base: Path) -> Reference:
    shards = build_toy_shards(tmp_path_factory.mktemp("launched"), languages=3, train=8, dev=2)
    folder = tmp_path_factory.mktemp("alone")
    config = toy_config(folder / "run", small_base, shards, checkpoint={"every_rounds": 50})
    train_ranks(config, 1)
    return Reference(config, {language: start_row(folder / "start", language, config) for language in LANGUAGES})


@contextmanager
def started(command: Sequence[str], more: Mapping[str, str] | None = None) -> Iterator[Launch]:
    variables = {"PYTHONPATH": os.pathsep.join(sys.path)} | dict(more or {})
    with Launch([str(SCRIPTS / command[0]), *command[1:]], variables) as launch:
        yield launch


def on_cpus(name: str, config: Path, directory: Path, *, processes: int = 2) -> list[str]:
    """The command of a file with CPUs in place of GPUs, and a toy run in place of the large one."""
    command = changed(command_of(name), num_processes=str(processes), config=str(config))
    if processes > 1:
        command = changed(command, **{"comm.processes": str(processes)})
    return [*command, "--run.device", "cpu", "--run.directory", str(directory)]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("multi_node")])
def test_the_file_of_one_machine_trains_what_one_process_trains(name: str, tmp_path: Path, alone: Reference) -> None:
    processes = 1 if name == "one_gpu" else 2
    with written(alone.config) as config:
        command = on_cpus(name, config, tmp_path / "run", processes=processes)
        with started(command) as launch:
            ended = launch.wait(START_SECONDS)
    alone.compare(tmp_path / "run", [ended], world=processes)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("multi_node")])
def test_the_file_of_many_machines_trains_what_one_process_trains(name: str, tmp_path: Path, alone: Reference) -> None:
    with written(alone.config) as config, ExitStack() as machines:
        command = on_cpus(name, config, tmp_path / "run")
        command = changed(command, main_process_ip="127.0.0.1", main_process_port=str(free_port()))
        launches = [machines.enter_context(started(changed(command, machine_rank=str(machine)))) for machine in (0, 1)]
        ended = [launch.wait(START_SECONDS) for launch in launches]
    alone.compare(tmp_path / "run", ended)


@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed"])
def test_other_launchers_train_what_one_process_trains(launcher: str, tmp_path: Path, alone: Reference) -> None:
    commands = {
        "torchrun": ["torchrun", "--standalone", "--nproc-per-node", "2", "-m"],
        "deepspeed": ["deepspeed", "--num_gpus", "2", "--master_port", str(free_port()), "--module"],
    }
    settings = ["--run.directory", str(tmp_path / "run"), "--run.device", "cpu", "--comm.processes", "2"]
    with written(alone.config) as config:
        command = [*commands[launcher], "launcher.train", "--config", str(config), *settings]
        with started(command) as launch:
            ended = launch.wait(START_SECONDS)
    alone.compare(tmp_path / "run", [ended])


def test_a_world_smaller_than_asked_for_is_refused(tmp_path: Path, alone: Reference) -> None:
    """accelerate starts P // M processes on each of M machines, and says nothing of the rest."""
    with written(alone.config) as config:
        command = changed(on_cpus("cpu_2proc", config, tmp_path / "run"), **{"comm.processes": "3"})
        with started(command) as launch:
            ended = launch.wait(START_SECONDS)
    assert ended.code != 0
    assert "comm.processes" in ended.log
    assert not (tmp_path / "run" / "adapters").exists()


@pytest.mark.parametrize("rendezvous", ["static", "c10d"])
def test_a_process_killed_on_one_machine_is_restarted_on_all(rendezvous: str, tmp_path: Path, alone: Reference) -> None:
    """Under c10d only the machine that lost a process counts the restart: the others follow."""
    port = str(free_port())
    fault = environment([Fault(rank=1, phase="forward", kind="kill", round=6)], tmp_path / "record")
    settings = ["--run.directory", str(tmp_path / "run"), "--run.device", "cpu", "--checkpoint.every_rounds", "2"]
    with written(alone.config) as config, ExitStack() as machines:
        launches = []
        for machine in ("0", "1"):
            places = {
                "static": ["--master-addr", "127.0.0.1", "--master-port", port, "--node-rank", machine],
                "c10d": ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "killed"],
            }
            command = [
                "torchrun",
                "--nnodes",
                "2",
                "--nproc-per-node",
                "1",
                "--max-restarts",
                "3",
                *places[rendezvous],
            ]
            command += ["-m", "tests.faults.injected_train", "--config", str(config), *settings]
            launches.append(machines.enter_context(started(command, fault)))
        ended = [launch.wait(START_SECONDS) for launch in launches]
    alone.compare(tmp_path / "run", ended)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["attempt"] > 1
