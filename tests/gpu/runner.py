"""Runs the parts one after the other, each bounded in time, and writes down what they find."""

import contextlib
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

from tests.gpu import child
from tests.gpu.record import Document, Record, collect
from tests.gpu.schedule import Item
from tests.gpu.summary import RESULTS, TABLE, write_results

FINDINGS, LOG = "findings.jsonl", "log.txt"
_POLL_SECONDS = 0.1
_SMOKE_PATIENCE = 4.0
"""Times a part's limit, for a machine that has other things to do."""
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "tests.gpu.preload",
        "transformers.models.wav2vec2.modeling_wav2vec2",
        "launcher.cli",
        "mms_dist.training.run",
    ]
)


@dataclass
class Runner:
    """Attributes:
    out: the folder of the results.
    budget: seconds for all parts together; what does not fit any more is left out, and said to be.
    """

    out: Path
    budget: float
    smoke: bool

    def run(self, items: list[Item]) -> Document:
        """Every part in turn; `results.json` and `table.md` are written anew after each."""
        self.out.mkdir(parents=True, exist_ok=True)
        for name in (FINDINGS, RESULTS, TABLE, LOG):
            (self.out / name).unlink(missing_ok=True)
        end = time.monotonic() + self.budget
        with open(self.out / LOG, "a+", encoding="utf-8", errors="replace") as log:
            for item in items:
                left = end - time.monotonic()
                print(f"\n== {item.name}", flush=True)
                if self.smoke:
                    self._one(item, _SMOKE_PATIENCE * item.limit, log)
                elif left < item.needs:
                    record = Record(self.out / FINDINGS, item.name)
                    record.end("skipped", error=f"{max(left, 0):.0f} s of the budget left, it needs {item.needs:.0f}")
                else:
                    self._one(item, min(item.limit, left), log)
                self.write()
        return collect(self.out / FINDINGS)

    def write(self) -> None:
        """What has been found so far, as JSON and as a table."""
        write_results(self.out, collect(self.out / FINDINGS), smoke=self.smoke)

    def _one(self, item: Item, seconds: float, log: IO[str]) -> None:
        record = Record(self.out / FINDINGS, item.name)
        process = _SERVER.Process(
            target=child.forked,
            args=(item.name, item.function, str(self.out / FINDINGS), str(self.out / LOG), seconds, self.smoke),
        )
        process.start()
        deadline = time.monotonic() + seconds
        while process.exitcode is None and time.monotonic() < deadline:
            process.join(_POLL_SECONDS)
            print(log.read(), end="", flush=True)
        late = process.exitcode is None
        _kill_all_of(process)
        print(log.read(), end="", flush=True)
        if late:
            record.end("timed out", error=f"killed after {seconds:.0f} s\n{self._last_lines()}")
        elif "seconds" not in collect(self.out / FINDINGS).get(item.name, {}):
            record.end("crashed", error=f"exit code {process.exitcode}\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join((self.out / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def _kill_all_of(process: BaseProcess) -> None:
    """The process, and whatever it has started and left behind."""
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.exitcode is None:
        process.kill()
    process.join()
