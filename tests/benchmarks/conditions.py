"""The conditions a figure was taken under."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "accelerate", "numpy", "soundfile")


def cpu_model() -> str:
    """The processor's name as the kernel reports it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def conditions(*, threads: int) -> dict[str, str]:
    """By name: processor, cores, threads, load at the start, versions."""
    instructions = [name for name in ("avx512_bf16", "amx_bf16", "avx512f", "avx2") if name in _cpu_flags()]
    return {
        "processor": cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "instructions": ", ".join(instructions),
        "threads": str(threads),
        "load at start": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _cpu_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return set(next((line for line in lines if line.startswith("flags")), "").split())
