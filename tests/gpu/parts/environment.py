"""Where this runs, and what the card does at best: what every other figure is compared with."""

import contextlib
import os
import platform
import subprocess
from functools import partial
from importlib import metadata

import torch
from torch import Tensor

from tests.benchmarks.conditions import cpu_model
from tests.gpu.part import Part
from tests.gpu.timing import median

PACKAGES = ("torch", "transformers", "accelerate", "numpy", "deepspeed", "triton", "soundfile")
PRODUCT = "8192^3 bfloat16 product, TFLOP/s"
CAPABILITY = "compute capability"
_CALLS = 10


def run(part: Part) -> None:
    part.record.note("conditions", conditions(part))
    products(part)
    if part.on_gpu:
        major, minor = torch.cuda.get_device_capability(part.device)
        part.record.figure(CAPABILITY, major + minor / 10)
        copies(part)


def conditions(part: Part) -> dict[str, str]:
    """Card, driver and versions, by name."""
    found = {"card": "none, a smoke run on the CPU"}
    if part.on_gpu:
        card = torch.cuda.get_device_properties(part.device)
        found = {
            "card": f"{card.name}, {card.total_memory / 2**30:.0f} GiB, compute capability {card.major}.{card.minor}, "
            f"{card.multi_processor_count} multiprocessors; {torch.cuda.device_count()} visible",
            "driver": _driver(),
            "CUDA, cuDNN, NCCL": f"{torch.version.cuda}, {torch.backends.cudnn.version()}, "
            + ".".join(map(str, torch.cuda.nccl.version())),
        }
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return found | {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Python": platform.python_version(),
        "host": f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores",
    }


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"


def products(part: Part) -> None:
    """Bare matrix products: a large one, and those of the bases at the frames of a full pass (320 s) and of half."""
    dtype = part.half
    side = 256 if part.smoke else 8192
    left, right = (torch.randn(side, side, device=part.device, dtype=dtype) for _ in range(2))
    seconds = median(partial(_multiply, left, right), part.device) / _CALLS
    part.record.figure(PRODUCT, 2 * side**3 / seconds / 1e12)
    found = {}
    shapes = [(256, 64)] if part.smoke else [(1024, 1024), (4096, 1024), (1024, 4096), (5120, 1280), (1280, 5120)]
    for rows in (64,) if part.smoke else (8_000, 16_000):
        for wide, inner in shapes:
            frames = torch.randn(rows, inner, device=part.device, dtype=dtype)
            weight = torch.randn(wide, inner, device=part.device, dtype=dtype)
            seconds = median(partial(_multiply, frames, weight.t()), part.device) / _CALLS
            found[f"{rows} x {inner} x {wide}"] = 2 * rows * wide * inner / seconds / 1e12
    part.record.note("products, TFLOP/s", found)


def _multiply(left: Tensor, right: Tensor) -> None:
    for _ in range(_CALLS):
        left @ right


def copies(part: Part) -> None:
    """GB a second within the device's memory (read and written), and from the host's."""
    size = 1 << 30
    source, target = (torch.empty(size, device=part.device, dtype=torch.uint8) for _ in range(2))
    pinned, pageable = (
        torch.empty(size // 4, dtype=torch.uint8, pin_memory=True),
        torch.empty(size // 4, dtype=torch.uint8),
    )
    begin = target[: size // 4]
    found = {
        "device": 2 * size / median(lambda: target.copy_(source), part.device),
        "pinned host": begin.numel() / median(lambda: begin.copy_(pinned, non_blocking=True), part.device),
        "pageable host": begin.numel() / median(lambda: begin.copy_(pageable), part.device),
    }
    part.record.note("copies, GB/s", {name: value / 1e9 for name, value in found.items()})
