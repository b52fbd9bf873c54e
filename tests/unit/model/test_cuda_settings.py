"""How a GPU computes is settled in one function, which nothing that computes with a base can miss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mms_dist.model.base import FrozenBase
from mms_dist.model.cuda_settings import set_cuda_arithmetic

ROOT = Path(__file__).parents[3]
PARTS = ("launcher", "mms_dist", "shards")
CUDNN: Any = torch.backends.cudnn


def settings() -> dict[str, object]:
    """As torch says them, by its older names and its newer ones; it raises where these contradict each other."""
    return {
        "cuDNN attention": torch.backends.cuda.cudnn_sdp_enabled(),
        "benchmark": CUDNN.benchmark,
        "deterministic": CUDNN.deterministic,
        "bf16 reductions": torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        "TF32 products": torch.backends.cuda.matmul.allow_tf32,
        "TF32 convolutions": CUDNN.allow_tf32,
        "products": torch.backends.cuda.matmul.fp32_precision,
        "convolutions": CUDNN.conv.fp32_precision,
        "recurrent": CUDNN.rnn.fp32_precision,
        "matmul": torch.get_float32_matmul_precision(),
    }


SETTLED = {
    "cuDNN attention": False,
    "benchmark": False,
    "deterministic": True,
    "bf16 reductions": False,
    "TF32 products": False,
    "TF32 convolutions": False,
    "products": "ieee",
    "convolutions": "ieee",
    "recurrent": "ieee",
    "matmul": "highest",
}


def with_older_names() -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    torch.backends.cuda.matmul.allow_tf32 = CUDNN.allow_tf32 = CUDNN.benchmark = True
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    CUDNN.deterministic = False


def with_newer_names() -> None:
    torch.backends.cuda.matmul.fp32_precision = CUDNN.conv.fp32_precision = CUDNN.rnn.fp32_precision = "tf32"


def as_a_whole() -> None:
    torch.set_float32_matmul_precision("high")


@pytest.mark.parametrize("before", [lambda: None, with_older_names, with_newer_names, as_a_whole])
def test_whatever_was_set_before_the_settings_are_ours(before: Callable[[], None]) -> None:
    before()
    set_cuda_arithmetic()
    assert settings() == SETTLED
    set_cuda_arithmetic()
    assert settings() == SETTLED


def test_a_torch_without_the_older_names_is_settled_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Matmul:
        __slots__ = ("allow_bf16_reduced_precision_reduction", "fp32_precision")

    matmul = Matmul()
    monkeypatch.setattr(torch.backends.cuda, "matmul", matmul)
    set_cuda_arithmetic()
    assert (matmul.fp32_precision, CUDNN.conv.fp32_precision) == ("ieee", "ieee")  # type: ignore[attr-defined]


def test_whoever_loads_a_base_computes_with_them(small_base: Path) -> None:
    with_older_names()
    FrozenBase.load(str(small_base), dtype=torch.float32)
    assert settings() == SETTLED


def test_every_part_gets_its_base_from_one_function() -> None:
    """What else loads one computes on the CPU, or on another's device."""
    assert having("FrozenBase.load(") == {
        "mms_dist/hardware/base_loading.py",  # load_base
        "mms_dist/debugging/bench.py",  # the same base in float32
        "launcher/doctor/checks/base.py",  # on the CPU, to see that it can be read
    }
    assert having("load_base(") == {
        "mms_dist/hardware/base_loading.py",
        "mms_dist/evaluation/score_run.py",
        "mms_dist/training/trial.py",  # for debugging and planning
        "mms_dist/emissions/acoustic_model.py",
    }


def test_nobody_else_changes_how_torchs_backends_compute() -> None:
    words = ("backends.cuda.matmul", "backends.cudnn", "backends.cuda.enable", "fp32_precision", "matmul_precision")
    assert having(*words) == {"mms_dist/model/cuda_settings.py"}


def having(*words: str) -> set[str]:
    """Modules of ours with any of these words."""
    return {
        path.relative_to(ROOT).as_posix()
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        if any(word in path.read_text(encoding="utf-8") for word in words)
    }
