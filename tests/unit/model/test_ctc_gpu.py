"""CTC for GPUs, on a CPU: its recursion in plain operations, its kernels interpreted, and the same kernels compiled."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from packaging.version import Version

from mms_dist.model import ctc, ctc_gpu
from tests.ctc_cases import (
    CASES,
    Inputs,
    inputs,
    losses_of_all_paths,
    losses_of_two_vectors,
    torch_losses,
    with_gradient,
)
from tests.interpreted_ctc import CHECKS

ROOT = Path(__file__).resolve().parents[3]
HAS_TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed: pip install triton (Linux only)")


@pytest.mark.parametrize("name", CASES)
def test_the_recursion_of_two_vectors_is_torchs_loss(name: str) -> None:
    found = with_gradient(losses_of_two_vectors, CASES[name])
    for one, other in zip(with_gradient(torch_losses, CASES[name]), found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)


def test_the_recursion_of_two_vectors_sums_over_every_path() -> None:
    given = inputs([4, 3, 2, 4], [[1, 2], [1, 1], [2, 2], []], longest=5, vocabulary=3)
    given = Inputs(given.logits_BTV, given.frames_B, given.labels_BL.clamp(max=2), given.lengths_B)
    expected = with_gradient(losses_of_all_paths, given)
    assert expected[0][2] == 0 and (expected[0][[0, 1, 3]] > 0).all()
    for found in (with_gradient(loss, given) for loss in (losses_of_two_vectors, torch_losses)):
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-12)


@needs_triton
def test_the_kernels_pass_every_check_of_interpreted_ctc() -> None:
    if Version(version("triton")) < Version("3.7") and Version(version("numpy")) >= Version("2.4"):
        pytest.skip(f"the interpreter of Triton {version('triton')} cannot run loops with NumPy {version('numpy')}")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.interpreted_ctc"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    results: dict[str, str | None] = json.loads(done.stdout)
    wrong = [f"{name}:\n{what}" for name, what in results.items() if what is not None]
    assert list(results) == list(CHECKS) and not wrong, "\n".join(wrong)


@needs_triton
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_the_kernels_compile_for_cards_and_have_no_atomic_sums(
    capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from mms_dist.model.ctc_kernels import gradient, recursion

    launches = [(recursion, {"BLOCK": block}, ctc_gpu.warps(block)) for block in ctc_gpu.BLOCK_SIZES]
    launches = launches if capability == 90 else launches[1:2]
    launches.append((gradient, {"FRAMES": ctc_gpu.TILE_FRAMES, "TOKENS": ctc_gpu.TILE_TOKENS}, 4))
    for kernel, constants, warps in launches:
        compiled = triton.compile(
            ASTSource(kernel, {name: type_of(name) for name in kernel.arg_names}, constants),
            target=GPUTarget("cuda", capability, 32),
            options={"num_warps": warps, **ctc_gpu.LAUNCH},
        )
        assert compiled.asm["cubin"]
        assert not re.search(r"\b(atom|red)\.", compiled.asm["ptx"])  # sums in an order of their own each time
        assert compiled.metadata.shared <= 48 * 1024  # what every card has


def type_of(argument: str) -> str:
    if argument in ("labels_BL", "frames_B", "lengths_B"):
        return "*i64"
    return "*fp32" if "_" in argument else "i32" if argument in "TVL" else "constexpr"


@needs_triton
def test_no_new_size_or_view_compiles_a_kernel_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from triton.backends.compiler import GPUTarget
    from triton.runtime.driver import driver

    from mms_dist.model.ctc_kernels import gradient, recursion

    device = 99  # nobody's, so that what is cached for a real one stays
    answers = {"device": device, "stream": 0, "target": GPUTarget("cuda", 90, 32)}
    pretended = {f"get_current_{what}": lambda *_, answer=answer: answer for what, answer in answers.items()}
    monkeypatch.setattr(driver, "_active", SimpleNamespace(**pretended))
    for batch, frames, vocabulary, labels, offset in ((1, 1, 1, 1, 0), (4, 16, 32, 16, 1), (3, 70, 5, 2, 0)):
        lengths_B = torch.zeros(batch + offset, dtype=torch.int64)[offset:]
        labels_BL = torch.zeros(batch * labels + offset, dtype=torch.int64)[offset:].view(batch, labels)
        log_probs_BTV = torch.zeros(batch, frames, vocabulary)
        states_DBTKP = torch.zeros(2, batch, frames, 2, labels + 1)
        given = log_probs_BTV, labels_BL, lengths_B, lengths_B, states_DBTKP, log_probs_BTV[:, 0, 0].clone()
        sizes, grid = (frames, vocabulary, labels), (batch, 2)
        recursion.warmup(*given, *sizes, BLOCK=128, num_warps=2, **ctc_gpu.LAUNCH, grid=grid)
        given = *given, given[-1], log_probs_BTV.clone()
        gradient.warmup(*given, *sizes, FRAMES=16, TOKENS=128, num_warps=4, **ctc_gpu.LAUNCH, grid=grid)
        assert [len(kernel.device_caches[device][0]) for kernel in (recursion, gradient)] == [1, 1]


GPU = SimpleNamespace(device=torch.device("cuda:0"), shape=(2, 300, 40))


def test_a_gpu_takes_the_kernels_unless_they_failed_and_a_cpu_never(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    few, many = torch.zeros(2, 50), torch.zeros(2, 9000)
    uses: Callable[..., bool] = ctc.uses_kernels
    monkeypatch.setattr(ctc_gpu, "reason_against", lambda device: None)
    assert uses(GPU, few) and not uses(torch.zeros(2, 300, 40), few)
    assert uses(GPU, many)  # 9,000 labels do not fit 300 frames, so that nobody needs their states
    long = SimpleNamespace(device=GPU.device, shape=(2, 9000, 40))
    assert not uses(long, many) and not uses(long, many)
    assert [record.message for record in caplog.records] == [
        "a transcript of 9,000 labels is too long for the CTC kernels: using torch's CTC, which waits for the GPU"
    ]
    monkeypatch.setattr(ctc_gpu, "reason_against", lambda device: "Triton cannot be imported: no such module")
    assert not uses(GPU, few)


def test_a_trial_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    ctc_gpu.why_kernels_fail.cache_clear()
    monkeypatch.setitem(sys.modules, "mms_dist.model.ctc_kernels", None)
    assert "Triton cannot be imported" in str(ctc_gpu.reason_against(torch.device("cuda:0")))
    ctc_gpu.why_kernels_fail.cache_clear()
    monkeypatch.setitem(sys.modules, "mms_dist.model.ctc_kernels", SimpleNamespace())
    reason = ctc_gpu.reason_against(torch.device("cuda:0"))  # there is no such device here
    assert reason is not None and reason.startswith("Triton's kernels do not run here: ") and "\n" not in reason
    ctc_gpu.why_kernels_fail.cache_clear()
