"""Every rank gets a GPU of its own, whatever started it and whatever it sees; if not, the ranks are named."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from mms_dist import machine
from mms_dist.distributed import binding
from mms_dist.distributed.binding import bind_rank
from mms_dist.distributed.gpu import naming_the_gpu, try_gpu
from mms_dist.errors import ConfigError, DeviceError, PeerError
from tests.gpus import Cuda, Process, on_all_ranks

FOUR = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")


def job(
    machines: int, each: int, *, gpus: tuple[str, ...] = FOUR, own: bool = False, **variables: str | None
) -> list[Process]:
    """The processes of a job, with torchrun's variables.

    Args:
        own: each sees only one GPU, as a control group of `srun --gpus-per-task=1` does it.
        variables: in place of them; `{local}` and `{rank}` are filled in, None is not set.
    """
    processes = []
    for rank in range(machines * each):
        machine, local = divmod(rank, each)
        told: dict[str, str | None] = {
            "RANK": "{rank}",
            "WORLD_SIZE": str(machines * each),
            "LOCAL_RANK": "{local}",
            "LOCAL_WORLD_SIZE": str(each),
        }
        filled = {name: text.format(rank=rank, local=local) for name, text in (told | variables).items() if text}
        seen = [f"{gpu}{machine}" for gpu in gpus]
        processes.append(Process(f"node{machine}", seen[local : local + 1] if own else seen, filled))
    return processes


def bound(cuda: Cuda, processes: list[Process], name: str = "auto") -> list[Any]:
    """The device of each, or the error with which it ends."""

    def body(comm: Any) -> torch.device:
        cuda.be(processes[comm.rank])
        device = bind_rank(name, comm)
        assert device.type == "cpu" or (cuda.current, cuda.tried[-1]) == (device, device), "set and tried"
        return device

    return on_all_ranks(len(processes), body)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    monkeypatch.setattr(binding, "check_connection", lambda *_: None)
    return Cuda(monkeypatch)


PLACES: dict[str, tuple[list[Process], list[str]]] = {
    "alone, no GPU": ([Process()], ["cpu"]),
    "alone, one GPU": ([Process(gpus=FOUR[:1])], ["cuda:0"]),
    "alone, four GPUs": ([Process(gpus=FOUR)], ["cuda:0"]),
    "alone, LOCAL_RANK -1": ([Process(gpus=FOUR, variables={"LOCAL_RANK": "-1"})], ["cuda:0"]),
    "alone, the third by number": ([Process(gpus=FOUR, variables={"CUDA_VISIBLE_DEVICES": "2"})], ["cuda:0"]),
    "torchrun, two machines": (job(2, 2), ["cuda:0", "cuda:1"] * 2),
    "accelerate": (job(1, 4, ACCELERATE_MIXED_PRECISION="no"), [f"cuda:{n}" for n in range(4)]),
    "deepspeed": (job(1, 4, LOCAL_WORLD_SIZE=None, LOCAL_SIZE="4"), [f"cuda:{n}" for n in range(4)]),
    "RANK without LOCAL_RANK": (job(2, 2, LOCAL_RANK=None, LOCAL_WORLD_SIZE=None), ["cuda:0", "cuda:1"] * 2),
    "LOCAL_RANK empty": (job(1, 2, LOCAL_RANK=" "), ["cuda:0", "cuda:1"]),
    "one visible each, by number": (job(1, 4, CUDA_VISIBLE_DEVICES="{local}"), ["cuda:0"] * 4),
    "one visible each, by UUID": (
        job(1, 2, gpus=("GPU-0", "GPU-1"), CUDA_VISIBLE_DEVICES="GPU-{local}0"),
        ["cuda:0"] * 2,
    ),
    "srun --gpus-per-task=1": (job(2, 4, own=True, LOCAL_WORLD_SIZE=None, SLURM_LOCALID="{local}"), ["cuda:0"] * 8),
    "srun --gpu-bind, no LOCAL_RANK": (job(2, 4, own=True, LOCAL_RANK=None, CUDA_VISIBLE_DEVICES="0"), ["cuda:0"] * 8),
    "MIG, alone": ([Process(gpus=FOUR, variables={"CUDA_VISIBLE_DEVICES": "MIG-a/7/0,MIG-a/8/0"})], ["cuda:0"]),
    "MIG, an instance each": (job(2, 2, CUDA_VISIBLE_DEVICES="MIG-GPU-a/{rank}/0"), ["cuda:0"] * 4),
    "two of four visible": (job(1, 2, CUDA_VISIBLE_DEVICES="3,1"), ["cuda:0", "cuda:1"]),
    "no GPU anywhere": (job(2, 2, gpus=()), ["cpu"] * 4),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_rank_has_a_gpu_of_its_own(cuda: Cuda, place: str) -> None:
    processes, expected = PLACES[place]
    assert [str(device) for device in bound(cuda, processes)] == expected


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_is_asked_for_without_a_number_is_the_ranks_own(cuda: Cuda, name: str) -> None:
    assert [str(device) for device in bound(cuda, job(1, 3), name)] == ["cuda:0", "cuda:1", "cuda:2"]


def test_processes_on_cpus_may_be_as_many_as_one_likes(cuda: Cuda) -> None:
    assert bound(cuda, job(1, 4, gpus=FOUR[:1]), "cpu") == [torch.device("cpu")] * 4
    assert cuda.tried == []


REFUSED: dict[str, tuple[list[Process], str, list[str]]] = {
    "more processes than GPUs": (
        job(1, 3, gpus=FOUR[:2]),
        "auto",
        ["ranks 0 and 2", "cuda:0 (Test GPU) on ", "3 processes on a machine with 2 GPUs", "--num_processes"],
    ),
    "the same on the second machine": (
        [*job(1, 2, WORLD_SIZE="5"), *[Process("node1", ("GPU-x", "GPU-y"), {"LOCAL_RANK": str(n)}) for n in range(3)]],
        "auto",
        ["ranks 2 and 4", "GPU-x", "3 processes on a machine with 2 GPUs"],
    ),
    "LOCAL_RANK 0 in all": (job(1, 2, LOCAL_RANK="0"), "auto", ["ranks 0 and 1", "GPU-a0", "own LOCAL_RANK"]),
    "one GPU is visible to both": (job(1, 2, CUDA_VISIBLE_DEVICES="1"), "auto", ["ranks 0 and 1", "1 GPU visible"]),
    "one MIG instance for both": (
        job(1, 2, CUDA_VISIBLE_DEVICES="MIG-a/7/0,MIG-a/8/0"),
        "auto",
        ["ranks 0 and 1", "MIG-a/7/0", "own LOCAL_RANK or CUDA_VISIBLE_DEVICES"],
    ),
    "one rank sees no GPU": (
        [*job(1, 3), *job(2, 3, CUDA_VISIBLE_DEVICES="-1")[3:4]],
        "auto",
        ["ranks 0-2 found a GPU, but rank 3 did not", "CUDA_VISIBLE_DEVICES is '-1', which hides every GPU"],
    ),
    "a GPU is asked for and there is none": (job(1, 2, gpus=()), "cuda", ["run.device: found 'cuda'", "use auto"]),
    "one device for several": (job(1, 2), "cuda:0", ["run.device: found 'cuda:0' for 2 processes", "auto"]),
}


@pytest.mark.parametrize("place", REFUSED)
def test_ranks_that_would_share_or_lack_a_gpu_are_refused_by_name(cuda: Cuda, place: str) -> None:
    processes, name, words = REFUSED[place]
    first, *others = bound(cuda, processes, name)
    assert type(first) is ConfigError and all(word in str(first) for word in words), first
    assert all(type(other) is PeerError and other.exit_code == 2 for other in others)


def test_a_gpu_that_never_answers_is_named_in_the_first_minute(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    assert binding.GPU_TEST_SECONDS < 60
    monkeypatch.setattr(binding, "GPU_TEST_SECONDS", 0.1)
    over = threading.Event()
    monkeypatch.setattr(binding, "try_gpu", lambda device: over.wait(30) if device.index == 1 else None)
    first, second = bound(cuda, job(1, 2))
    over.set()
    assert type(second) is DeviceError and "cuda:1 did not multiply" in str(second) and "Xid" in str(second)
    assert type(first) is PeerError and first.exit_code == second.exit_code == 1


def test_a_gpu_that_cannot_compute_is_named_with_its_host_and_cudas_words(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda.be(Process(gpus=FOUR))

    def broken(device: torch.device) -> None:
        raise torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered\nCompile with …")

    monkeypatch.setattr(torch.cuda, "set_device", broken)
    with pytest.raises(DeviceError, match=r"cuda:2 \(Test GPU\) cannot compute \(CUDA error: uncorr.*encountered\); "):
        try_gpu(torch.device("cuda:2"))


def test_a_cuda_error_amid_training_names_rank_gpu_and_host(cuda: Cuda, capsys: pytest.CaptureFixture[str]) -> None:
    cuda.be(Process(gpus=FOUR))
    with (
        pytest.raises(DeviceError, match=r"cuda:1 \(Test GPU\) of rank 5 failed \(CUDA error: unspecified.*nvidia-smi"),
        naming_the_gpu(torch.device("cuda:1"), 5),
    ):
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nmore")
    assert "Traceback" in capsys.readouterr().err, "it may be our mistake"
    with pytest.raises(RuntimeError, match="ours"), naming_the_gpu(torch.device("cuda:1")):
        raise RuntimeError("ours")


def test_machines_of_one_name_are_told_apart_by_their_boot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(binding.socket, "gethostname", lambda: "localhost")
    names = set()
    for boot in ("one", "two"):
        (tmp_path / "boot_id").write_text(f"{boot}\n")
        monkeypatch.setattr(machine, "BOOT_ID_PATH", tmp_path / "boot_id")
        names.add(binding.this_machine())
    assert names == {"localhost one", "localhost two"}
