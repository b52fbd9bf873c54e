"""Runs by the real `accelerate launch`, its agent and all.

Whatever happens, no process of a launch outlives its `with` block.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import psutil

from mms_dist.config import Config
from tests.distributed.ranks import written

ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.02
_MARK = "MMS_DIST_TEST_LAUNCH"


@dataclass(frozen=True)
class Launched:
    """How a launch ended. `code` is the launcher's, which masks those of its workers."""

    code: int
    log: str
    seconds: float


class Launch:
    """An `accelerate launch` at work, or any other launcher; all processes of it go with the `with` block."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._mark = uuid4().hex
        self._command = list(command)
        self._environment = os.environ | {"OMP_NUM_THREADS": "1", _MARK: self._mark} | dict(environment or {})
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "launch.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._began = time.monotonic()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the launch has not begun"
        return self._process

    def log(self) -> str:
        """What all its processes have printed so far."""
        return self._log.read_text(errors="replace")

    def members(self) -> list[psutil.Process]:
        """All processes of this launch that are alive, whatever session or parent they have by now."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == self._mark:
                    found.append(process)
        return found

    def wait(self, timeout_seconds: float = 120.0) -> Launched:
        """Until the launcher has ended.

        Raises:
            AssertionError: it has not; with all that was printed.
        """
        try:
            self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the launch had not ended after {timeout_seconds:g} s\n{self.log()}") from None
        return Launched(self.process.returncode, self.log(), time.monotonic() - self._began)

    def nobody_is_left(self, within_seconds: float = 15.0) -> bool:
        """Whether every process of the launch is gone, at the latest so long from now."""
        deadline = time.monotonic() + within_seconds
        while self.members():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while left := self.members():  # again, for what was being forked meanwhile
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
            psutil.wait_procs(left, timeout=1.0)
        self.process.wait()
        print(self.log())  # pytest shows it if the test fails
        self._folder.cleanup()


@contextlib.contextmanager
def accelerate(
    config: Config,
    world: int,
    *,
    module: str = "launcher.train",
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Launch]:
    """`accelerate launch … -m module --config …` at work; `options` (`--max_restarts 2`) are accelerate's."""
    with written(config) as path:
        arguments = [*options, "-m", module, "--config", str(path)]
        with Launch([*accelerate_command(world), *arguments], environment) as launch:
            yield launch


def accelerate_command(world: int) -> list[str]:
    """`accelerate launch` for so many processes of this machine; `-m MODULE …` follows."""
    several = ["--multi_gpu", "--num_machines", "1", "--num_processes", str(world)]
    launcher = [sys.executable, "-m", "accelerate.commands.launch"]
    return [*launcher, *several, "--mixed_precision", "no", "--main_process_port", "0"]
