"""One part at work: the device, the time it has, and where its findings go."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.gpu.record import Record, collect


@dataclass(frozen=True)
class Part:
    """Attributes:
    device: the GPU that is looked at; in a smoke run the CPU.
    smoke: the same code with tiny shapes: does the suite itself run? The figures then mean nothing.
    deadline: by `time.monotonic`, after which the part is killed.
    findings: the file all parts write to, for what earlier ones have found.
    """

    record: Record
    device: torch.device
    smoke: bool
    deadline: float
    findings: Path
    scratch: Path = field(default_factory=lambda: Path(os.environ.get("TMPDIR", "/tmp")))

    def left(self) -> float:
        """Seconds until the part is killed."""
        return self.deadline - time.monotonic()

    def has(self, seconds: float, what: str) -> bool:
        """Whether there is time for `what`; if not, say that it was left out. A smoke run has time for everything."""
        if self.smoke or self.left() >= seconds:
            return True
        self.record.skip(what, f"{self.left():.0f} s left, expected {seconds:.0f}")
        return False

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def half(self) -> torch.dtype:
        """The precision that speed is measured in."""
        return torch.bfloat16 if self.on_gpu else torch.float32

    def found(self, part: str, figure: str) -> float | None:
        """A figure of an earlier part of this run."""
        return collect(self.findings).get(part, {}).get("figures", {}).get(figure)
