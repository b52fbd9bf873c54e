"""The files of configs/accelerate: read by accelerate itself, stopped where it would start something."""

import dataclasses
import json
import socket
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig
from torch.distributed.run import get_args_parser

from launcher.processes import launcher_variables, train_command
from launcher.signals import STOP_SIGNALS
from launcher.world import check_world
from mms_dist.config import load_config
from mms_dist.errors import ConfigError
from tests.launch_configs import FOLDER, NAMES, NEEDS_DEEPSPEED, ROOT, STARTED, changed, command_of, start_of

SIZES = {
    "cpu_2proc": 2,
    "one_gpu": 1,
    "one_node_8gpu": 8,
    "multi_node": 16,
    "deepspeed_zero2": 8,
    "deepspeed_zero3": 8,
    "multi_node_deepspeed": 16,
}
DEEPSPEED = [name for name in NAMES if "deepspeed" in name]


def command_with_a_free_port(name: str) -> list[str]:
    command = command_of(name)
    if "--main_process_port" not in command:
        return command
    with socket.socket() as probe:
        probe.bind(("", 0))
        return changed(command, main_process_port=str(probe.getsockname()[1]))


def test_the_configurations_are_those_that_are_described() -> None:
    assert set(NAMES) == set(SIZES)


@pytest.mark.parametrize("name", STARTED)
def test_the_command_in_a_file_starts_as_many_processes_as_it_says(name: str) -> None:
    command = command_with_a_free_port(name)
    assert command[2:4] == ["--config_file", f"configs/accelerate/{name}.yaml"]
    start = start_of(command)
    assert start.processes == SIZES[name], "accelerate starts another number of processes, and says nothing"
    assert start.agent.training_script == "launcher.train" and start.agent.module
    if start.processes > 1:
        said = start.agent.training_script_args
        assert said[said.index("--comm.processes") + 1] == str(SIZES[name])


@pytest.mark.parametrize("name", STARTED)
def test_the_settings_in_the_command_of_a_file_are_settings_of_ours(name: str) -> None:
    _, config, *settings = start_of(command_with_a_free_port(name)).agent.training_script_args
    loaded = load_config(ROOT / config, settings)
    if SIZES[name] > 1:
        assert loaded.comm.processes == SIZES[name]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_a_file_is_heeded_by_accelerate(name: str) -> None:
    """It reads the file for what the command line left open, and drops in silence what has a default there."""
    document = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    heeded = {"compute_environment", "distributed_type", "num_machines", "num_processes"}
    heeded |= {"main_process_port", "mixed_precision", "deepspeed_config"}
    assert set(document) <= heeded & {field.name for field in dataclasses.fields(ClusterConfig)}


@pytest.mark.parametrize("name", STARTED)
def test_no_file_mixes_precision_for_the_rows(name: str) -> None:
    assert start_of(command_with_a_free_port(name)).environment["ACCELERATE_MIXED_PRECISION"] in ("no", "bf16")


@NEEDS_DEEPSPEED
@pytest.mark.parametrize("name", DEEPSPEED)
def test_a_deepspeed_file_names_one_of_ours_and_nothing_that_it_decides(name: str) -> None:
    environment = start_of(command_with_a_free_port(name)).environment
    stage = json.loads((ROOT / environment["ACCELERATE_DEEPSPEED_CONFIG_FILE"]).read_text())["zero_optimization"][
        "stage"
    ]
    assert stage == (2 if "zero2" in name else 3)
    fields = set(environment["ACCELERATE_CONFIG_DS_FIELDS"].split(","))
    assert fields <= {"deepspeed_config_file", "deepspeed_multinode_launcher", "zero3_init_flag"}


@pytest.mark.parametrize("machine", [0, 1])
@pytest.mark.parametrize("name", [name for name in STARTED if "multi_node" in str(name)])
def test_every_machine_meets_at_the_address_of_the_first(name: str, machine: int) -> None:
    command = changed(command_with_a_free_port(name), machine_rank=str(machine), main_process_ip="10.1.2.3")
    agent = start_of(command).agent
    port = command[command.index("--main_process_port") + 1]
    assert (agent.rdzv_backend, agent.rdzv_endpoint) == ("static", f"10.1.2.3:{port}")
    assert (str(agent.nnodes), agent.node_rank) == ("2", machine)


@pytest.mark.parametrize("threads", [None, "3"])
def test_the_command_of_the_demo_starts_all_of_its_processes(
    threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    environment = {"OMP_NUM_THREADS": threads} if threads else {}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    start = start_of(train_command(2, ["--config", "c.yaml"], environment))
    assert start.processes == 2
    assert start.agent.training_script_args == ["--config", "c.yaml", "--comm.processes", "2"]
    assert start.environment["OMP_NUM_THREADS"] == (threads or "4")


def test_the_demos_launcher_forwards_stop_signals_and_waits_for_the_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in launcher_variables().items():
        monkeypatch.setenv(name, value)
    agent = start_of(train_command(2, [], {})).agent
    assert {signal.name for signal in STOP_SIGNALS} <= set(agent.signals_to_handle.split(","))
    asked = "PET_SHUTDOWN_TIMEOUT" in launcher_variables()
    assert asked == hasattr(agent, "shutdown_timeout"), "asked for where it is not, or not asked for where it is"
    assert not asked or agent.shutdown_timeout == 300


def test_the_launchers_options_exist_in_the_installed_torchrun() -> None:
    options = vars(get_args_parser().parse_args(["script.py"]))
    assert {name.removeprefix("PET_").lower() for name in launcher_variables()} <= set(options)


@pytest.mark.parametrize(
    ("torch", "asked"),
    [("2.11.0+cu130", False), ("2.11.1", False), ("2.12.0a0+git1", True), ("2.13.0+cpu", True), ("2.15.0", True)],
)
def test_a_shutdown_timeout_is_asked_for_only_of_a_torchrun_that_has_one(
    torch: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda package: {"torch": torch}[package])
    assert launcher_variables() == {"PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"} | (
        {"PET_SHUTDOWN_TIMEOUT": "300"} if asked else {}
    )


@pytest.mark.parametrize(
    "launch",
    [
        "--cpu --num_processes 2",
        "--num_processes 2 --num_machines 1 --mixed_precision no",
        "--num_machines 2 --num_processes 2 --main_process_ip 10.1.2.3 --main_process_port 29500",
        "--config_file MULTI_CPU",
    ],
)
def test_one_process_in_place_of_several_does_not_go_unnoticed(launch: str, tmp_path: Path) -> None:
    multi_cpu = tmp_path / "multi_cpu.yaml"
    multi_cpu.write_text("{distributed_type: MULTI_CPU, use_cpu: true, num_machines: 1, num_processes: 2}")
    words = launch.replace("MULTI_CPU", str(multi_cpu)).split()
    start = start_of(["accelerate", "launch", *words, "-m", "launcher.train"])
    assert start.agent is None, "accelerate now starts them all: this launch needs no refusal any more"
    with pytest.raises(ConfigError, match="--multi_gpu"):
        check_world(start.environment, None)
    check_world(start.environment, 1)


def test_one_process_where_one_is_asked_for_is_let_be() -> None:
    start = start_of(["accelerate", "launch", "--cpu", "--num_processes", "1", "-m", "launcher.train"])
    assert start.agent is None
    check_world(start.environment, None)
    check_world({}, None)


@pytest.mark.parametrize("variable", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_processes_that_were_not_told_of_each_other_are_refused(variable: str) -> None:
    with pytest.raises(ConfigError, match="4 processes"):
        check_world({variable: "4"}, None)
    check_world({variable: "4", "WORLD_SIZE": "8"}, None)
    check_world({variable: "1"}, None)
    check_world({variable: "4"}, 1)
