"""Which device a name stands for, and what is said where it is not there."""

from pathlib import Path

import pytest
import torch

from launcher.cli import main
from mms_dist.distributed import device
from mms_dist.distributed.device import choose_device, computes_on_cpu, computes_on_gpu, use_device, why_no_gpu
from mms_dist.errors import ConfigError
from tests.gpus import Cuda, Process

TWO = Process(gpus=("GPU-a", "GPU-b"))
CONFIG = Path(__file__).parents[3] / "configs/train/mms-300m.yaml"


@pytest.mark.parametrize(
    ("name", "gpus", "expected"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 2, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
        ("cuda:0", 0, "this machine has no GPU"),
        ("cuda", 0, "start the run on a machine with a GPU"),
        ("cuda:0", 0, "compute on the CPU with --run.device cpu (use auto"),
        ("cuda:7", 2, "this process sees 2 GPUs, cuda:0 to cuda:1; name one of them, or use auto"),
        ("cuda:1", 1, "this process sees one GPU, cuda:0; name"),
        ("mps", 2, "expected auto, cpu or cuda:N"),
        ("cuda:", 2, "expected auto, cpu or cuda:N"),
        ("cuda:-1", 2, "expected auto, cpu or cuda:N"),
        ("cuda:²", 2, "expected auto, cpu or cuda:N"),
        ("toaster", 0, "expected auto, cpu or cuda:N"),
        ("", 0, "expected auto, cpu or cuda:N"),
    ],
)
def test_a_name_is_a_device_that_is_there_or_an_error_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, expected: str
) -> None:
    cuda = Cuda(monkeypatch)
    cuda.be(Process(gpus=TWO.gpus[:gpus]))
    monkeypatch.setattr(device, "nvidia_gpu", lambda: None)
    if expected[:4] not in ("cpu", "cuda"):
        with pytest.raises(ConfigError) as refused:
            choose_device(name)
        assert f"run.device: found {name!r}" in str(refused.value) and expected in str(refused.value)
        return
    assert choose_device(name) == use_device(name) == torch.device(expected)
    assert cuda.current == (None if expected == "cpu" else torch.device(expected)), "libraries compute there too"
    assert computes_on_cpu(name) == (expected == "cpu") != computes_on_gpu(name)


@pytest.mark.parametrize(
    ("built", "evidence", "visible", "found", "fix"),
    [
        (False, None, None, "no GPU, and torch 2.99 is a CPU build", "on a machine with a GPU"),
        (False, "nvidia-smi", None, "has nvidia-smi, and torch 2.99 is a CPU build that", "install torch's CUDA build"),
        (True, None, None, "this machine has no GPU", "--gpus-per-node"),
        (True, "nvidia-smi", "", "CUDA_VISIBLE_DEVICES is ''", "unset it"),
        (True, None, "-1", "CUDA_VISIBLE_DEVICES is '-1'", "unset it"),
        (True, "nvidia-smi", "NoDevFiles", "CUDA_VISIBLE_DEVICES is 'NoDevFiles', which hides", "--gpus-per-node"),
        (True, "nvidia-smi", None, "torch 2.99 for CUDA 13.0 finds no GPU", "install a driver"),
        (True, "nvidia-smi", "MIG-a/1/0", "finds no GPU (CUDA_VISIBLE_DEVICES=MIG-a/1/0)", "check nvidia-smi"),
    ],
)
def test_a_cpu_build_hidden_gpus_and_a_driver_that_fails_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, built: bool, evidence: str | None, visible: str | None, found: str, fix: str
) -> None:
    monkeypatch.setattr(torch, "__version__", "2.99")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
    monkeypatch.setattr(device, "nvidia_gpu", lambda: evidence)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    said = why_no_gpu()
    assert found in said[0] and fix in said[1], said


def test_a_gpu_is_known_by_its_file_or_its_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "FIRST_GPU_PATH", str(tmp_path / "nvidia0"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device.nvidia_gpu() is None
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert device.nvidia_gpu() == "nvidia-smi"
    (tmp_path / "nvidia0").touch()
    assert "nvidia0" in (device.nvidia_gpu() or "")


@pytest.mark.skipif(torch.cuda.is_available(), reason="here it is there")
@pytest.mark.parametrize("name", ["cuda:0", "cuda", "mps"])
def test_debug_on_a_missing_gpu_exits_with_2_before_reading_anything(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["debug", "--config", str(CONFIG), "--device", name]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: run.device: found {name!r}") and told.count("\n") == 1
    assert "cpu" in told
