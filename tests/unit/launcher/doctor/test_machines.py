"""`mms-dist doctor` and the machines of a run: devices, memory, processes, and a SLURM job around them."""

import os
import shutil
import sysconfig
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from launcher.doctor.checks import device
from launcher.doctor.checks.device import missing_for_kernels
from launcher.doctor.checks.memory import PROCESS_BYTES, host_bytes
from launcher.doctor.finding import format_bytes
from launcher.doctor.machines import Machines, machines_of, set_launch_variables
from launcher.slurm.lead_time import LeadTime
from mms_dist.config import load_config
from mms_dist.errors import DeviceError
from mms_dist.model.adapter import RowLayout
from mms_dist.model.base_shape import BaseShape
from shards.index import ShardIndex
from tests.doctoring import examined, failed, warned


def test_memory_is_compared_with_what_is_said_of_machines_elsewhere(config: Path) -> None:
    assert failed(examined(config, nodes=2, processes=2, here=False, memory_gib=80)) == {}
    told = failed(examined(config, nodes=2, processes=2, here=False, memory_gib=0.001))
    assert told.keys() == {"memory"}


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["--rounds.slots", "1"],
        ["--adapter.dim", "1024"],
        ["--adapter.dim", "1024", "--rounds.slots", "1"],
        ["--model.dtype", "bfloat16", "--adapter.dim", "1024"],
        ["--model.dtype", "float32", "--adapter.dim", "1024"],
        ["--run.device", "cpu", "--adapter.dim", "1024", "--model.feature_cache_gib", "0.25"],
    ],
)
def test_every_part_of_a_process_must_fit_into_memory(config: Path, shards: Path, settings: list[str]) -> None:
    """Counted anew: rows with gradients and two moments for each slot, copies for a pass, the base and activations."""
    run = load_config(config, settings)
    index, shape = ShardIndex.load(str(shards)), BaseShape.of(run.model.base)
    slots = min(run.rounds.slots, 2)
    largest = max(len(index.language(code).vocabulary) for code in index.languages)
    row = 4 * RowLayout(2, 32, run.adapter.dim).row_size(largest)  # never below float32
    on_gpu = run.run.device != "cpu"
    number = 2 if on_gpu and run.model.dtype != "float32" else 4
    longest = max(index.language(code).table("train").durations.max() for code in index.languages)
    seconds = max(run.rounds.forward_seconds, longest)
    numbers = shape.kept_numbers(seconds, dim=run.adapter.dim, checkpointing=False)
    numbers += int(seconds) * row // 4  # the weights of its language, for each utterance
    if on_gpu:
        numbers += shape.working_numbers(seconds, dim=run.adapter.dim)
    activations = number * numbers + 3 * 4 * round(50 * seconds) * largest
    if on_gpu:
        activations = max(activations, number * shape.front_end_numbers(seconds))
    copies = slots * row + 2 * number * slots * row // 4
    needed = number * shape.parameters + (1 + 1 + 2) * slots * row + copies + activations
    needed += 2**29 + 2 * 2**28 if on_gpu else PROCESS_BYTES + 2**28  # CUDA, and NCCL's groups of 1 and 2 machines

    def told(gib: float) -> dict[str, str]:
        return failed(examined(config, *settings, nodes=2, processes=1, here=False, memory_gib=gib))

    assert told(needed / 2**30) == {}
    assert told((needed - 1) / 2**30).keys() == {"memory"}
    assert f"rows with gradients and moments {format_bytes(4 * slots * row)}" in told(1e-9)["memory"]


def test_an_utterance_longer_than_a_pass_must_fit_in_memory_alone(config: Path, shards: Path) -> None:
    def told(*settings: str) -> str:
        return failed(examined(config, *settings, here=False, memory_gib=1e-6))["memory"]

    index = ShardIndex.load(str(shards))
    longest = max(index.language(code).table("train").durations.max() for code in index.languages)
    alone = f"data.max_seconds (the longest has {longest:,.0f} s)"
    few = told("--rounds.forward_seconds", "1")
    assert f"a forward pass of {longest:,.0f} s" in few
    assert alone in few
    below = f"{longest - 0.01:.3f}"
    assert alone in told("--rounds.forward_seconds", below)
    assert "data.max_seconds" not in told("--rounds.forward_seconds", below, "--data.max_seconds", below)
    assert "data.max_seconds" not in told("--rounds.forward_seconds", str(longest))


def test_processes_without_work_are_counted(config: Path) -> None:
    findings = examined(config, nodes=64, processes=8, here=False)
    assert failed(findings) == {}
    assert "would be idle" in warned(findings)["processes"]


def test_a_launcher_that_fell_short_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert "but started one" in failed(examined(config))["processes"]


class Gpus:
    """What torch says of GPUs that are not there."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        count: int,
        gib: float,
        free_gib: float | None = None,
        capability: tuple[int, int] = (9, 0),
    ) -> None:
        replies = {
            "is_available": count > 0,
            "device_count": count,
            "get_device_name": "Test GPU",
            "get_device_properties": SimpleNamespace(total_memory=int(gib * 2**30)),
            "get_device_capability": capability,
            "mem_get_info": (int((gib if free_gib is None else free_gib) * 2**30), int(gib * 2**30)),
        }
        for name, reply in replies.items():
            monkeypatch.setattr(torch.cuda, name, lambda *_, reply=reply, **__: reply)
        monkeypatch.setattr(torch.cuda.nccl, "version", lambda: (2, 28, 3))
        for name in ("current_device", "set_device"):
            monkeypatch.setattr(torch.cuda, name, lambda *_: None)
        monkeypatch.setattr(device, "missing_for_kernels", lambda: iter([]))
        self.tried: list[torch.device] = []
        monkeypatch.setattr(device, "try_gpu", self.tried.append)
        self.summed: list[int] = []
        monkeypatch.setattr(device, "sums_of_ones", lambda count: self.summed.append(count) or [count] * count)


def test_gpus_are_counted_named_and_their_memory_is_what_must_suffice(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Gpus(monkeypatch, count=2, gib=80, free_gib=79)
    findings = examined(config)
    assert two.tried == [torch.device("cuda:0"), torch.device("cuda:1")] and two.summed == [2]
    assert failed(findings) == warned(findings) == {}
    told = {finding.check: finding.found for finding in findings}
    assert told["device"].startswith("2 x Test GPU")
    assert "NCCL 2.28.3" in told["device"]
    assert "79.0 GiB free of a GPU's 80.0 GiB" in told["memory"]
    assert told["processes"].startswith("2 processes on 1 machine")
    assert "each process needs its own GPU" in failed(examined(config, processes=3))["device"]
    Gpus(monkeypatch, count=2, gib=80, free_gib=1e-4)
    assert failed(examined(config)).keys() == {"memory"}, "what others hold of it counts"


def test_a_gpu_that_never_answers_and_nccl_that_sums_wrongly_are_failures(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gpus(monkeypatch, count=2, gib=80)
    monkeypatch.setattr(device, "LONGEST_SECONDS", 0.1)
    for faulty, told in (
        (lambda _: [1.0, 2.0], "the sum of 2 ones is [1.0, 2.0]"),
        (lambda _: time.sleep(5), "no result within"),
    ):
        monkeypatch.setattr(device, "sums_of_ones", faulty)
        found = failed(examined(config))["device"]
        assert "NCCL cannot sum over the 2 GPUs of this machine" in found and told in found
        assert "NCCL_DEBUG=INFO" in found
    two = Gpus(monkeypatch, count=2, gib=80)
    monkeypatch.setattr(device, "GPU_TEST_SECONDS", 0.1)
    monkeypatch.setattr(device, "try_gpu", lambda gpu: time.sleep(5 * (gpu.index == 1)))
    assert "cuda:1 did not multiply two small matrices" in failed(examined(config))["device"]
    assert two.summed == [], "without all GPUs there is nothing to sum over"


@pytest.mark.parametrize(
    ("settings", "fix"),
    [
        (["--model.dtype", "bfloat16"], "--model.dtype float32"),
        (["--model.attention", "packed"], "--model.attention padded"),
        (["--model.dtype", "float32", "--model.attention", "packed"], "--model.attention padded"),
    ],
)
def test_what_a_card_cannot_do_is_found_with_its_flag(
    config: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], fix: str
) -> None:
    Gpus(monkeypatch, count=1, gib=80, capability=(7, 5))
    told = failed(examined(config, *settings))
    assert told.keys() == {"device"}
    assert f"→ pass {fix}" in told["device"] and "Test GPU (compute capability 7.5)" in told["device"]
    assert failed(examined(config)) == {}


def test_float32_on_a_gpu_is_warned_of(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, count=1, gib=80)
    assert "set model.dtype to auto or bfloat16" in warned(examined(config, "--model.dtype", "float32"))["device"]
    Gpus(monkeypatch, count=1, gib=80, capability=(7, 5))
    assert warned(examined(config)) == {}, "there is nothing better"


def test_a_machine_on_which_no_kernel_can_be_made_is_warned_of(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, count=1, gib=80)
    monkeypatch.setattr(device, "missing_for_kernels", missing_for_kernels)
    monkeypatch.setattr(device, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: "/nowhere/include")
    told = warned(examined(config))["device"]
    for part in ("the package triton", "a C compiler", "Python's headers (/nowhere/include)"):
        assert part in told
    assert list(missing_for_kernels()) and failed(examined(config)) == {}


def test_a_build_of_torch_that_does_not_see_the_gpu_is_found(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, count=0, gib=0)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "install torch's CUDA build" in failed(examined(config))["device"]
    assert failed(examined(config, "--run.device", "cpu")) == {}


def test_a_broken_gpu_is_named_and_the_others_are_tried(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, count=3, gib=80)
    tried = []

    def broken(gpu: torch.device) -> None:
        tried.append(gpu.index)
        if gpu.index == 1:
            raise DeviceError("node0: cuda:1 (Test GPU) cannot compute (CUDA error: ECC)", "look there")

    monkeypatch.setattr(device, "try_gpu", broken)
    told = failed(examined(config))
    assert told == {"device": "node0: cuda:1 (Test GPU) cannot compute (CUDA error: ECC) → look there\n"}
    assert tried == [0, 1, 2]


def test_a_process_of_several_may_see_only_its_own_gpu(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(monkeypatch, count=1, gib=80)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert "device" not in failed(examined(config, processes=4))
    assert gpus.tried == [], "the others may have it"


JOB = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NUM_NODES": "3",
    "SLURM_JOB_NODELIST": "node[01-03]",
    "SLURM_NODEID": "1",
    "SLURM_GPUS_ON_NODE": "4",
}


def test_the_site_follows_the_command_line_then_launcher_then_job() -> None:
    assert machines_of({}) == Machines(1, None, here=True)
    assert machines_of({}, nodes=2, processes=8) == Machines(2, 8, here=False)
    assert machines_of(JOB) == Machines(3, 4, here=True, job="7")
    assert machines_of(JOB, nodes=2) == Machines(2, 4, here=True, job="7")
    assert machines_of(JOB | {"WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2"}) == Machines(3, 2, here=True, job="7")
    assert (Machines(3, None).world(8), Machines(3, None).world(0), Machines(3, 2).world(8)) == (24, 3, 6)


def test_tasks_of_srun_rendezvous_on_the_first_machine_of_their_step() -> None:
    task = JOB | {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "node[02-03]"}
    environment = dict(task)
    set_launch_variables(environment)
    assert {name: environment[name] for name in environment.keys() - task.keys()} == {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "node02",
        "MASTER_PORT": "12007",
    }
    for untouched in ({}, JOB, task | {"SLURM_STEP_NUM_TASKS": "1"}, task | {"WORLD_SIZE": "6"}):
        environment = dict(untouched)
        set_launch_variables(environment)
        assert environment == untouched


def test_memory_is_bounded_by_the_job() -> None:
    everything = host_bytes({})
    assert 0 < everything <= psutil.virtual_memory().total
    assert host_bytes({"SLURM_MEM_PER_NODE": "0"}) > 0.5 * everything
    assert host_bytes({"SLURM_MEM_PER_NODE": "100"}) == 100 * 2**20
    assert host_bytes({"SLURM_MEM_PER_CPU": "10"}) == 10 * 2**20 * len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("signal", "round_seconds", "status", "words"),
    [
        ("B:USR1@600", 60.0, "ok", "enough"),
        ("B:USR1@600", 700.0, "failed", "--signal=B:USR1@"),
        ("B:USR1@600", None, "not checked", "have not been measured yet"),
        ("", 60.0, "warning", "slurm/train.sbatch"),
    ],
)
def test_the_warning_must_leave_time_for_a_round_and_a_save(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    signal: str,
    round_seconds: float | None,
    status: str,
    words: str,
) -> None:
    measured = None if round_seconds is None else LeadTime(600.0, round_seconds, 5.0)
    monkeypatch.setattr("launcher.doctor.checks.lead_time.measured_lead_time", lambda *_: measured)
    (finding,) = (each for each in examined(config, signal=signal) if each.check == "lead time")
    assert finding.status == status
    assert words in f"{finding.found} {finding.fix}"


@pytest.mark.parametrize(
    ("scontrol", "words"),
    [
        ("echo '#SBATCH --nodes=2'", "the script of job 7 requests no warning"),
        ("echo '#SBATCH --signal=B:USR1@600'", "the warning comes 600 s before the end"),
        ("echo 'batch script retrieval failed' >&2; exit 1", "job 7 has no batch script (as with salloc)"),
        (None, "no SLURM training job"),
    ],
)
def test_a_job_that_only_looks_is_not_asked_for_a_warning(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scontrol: str | None, words: str
) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "scontrol"
    program.write_text(f'#!/bin/bash\n[[ "$*" == "write batch_script 7 -" ]] && {{ {scontrol or "exit 1"}; }}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    job = None if scontrol is None else "7"
    (finding,) = (each for each in examined(config, job=job) if each.check == "lead time")
    assert finding.status == "not checked"
    assert words in finding.found
