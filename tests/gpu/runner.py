"""Runs the parts one after the other, each bounded in time, and writes down what they find."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.gpu.record import Document, Record, collect
from tests.gpu.schedule import Item
from tests.gpu.server import Server
from tests.gpu.summary import RESULTS, TABLE, write_results

FINDINGS, LOG = "findings.jsonl", "log.txt"
_POLL_SECONDS = 0.1
_SMOKE_PATIENCE = 4.0
"""Times a part's limit, for a machine that has other things to do."""
_KILLED_SECONDS = 30.0
"""In which a part that was killed is gone: what it does on the device ends first."""


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
        with Server() as server, open(self.out / LOG, "a+", encoding="utf-8", errors="replace") as log:
            for item in items:
                left = end - time.monotonic()
                print(f"\n== {item.name}", flush=True)
                if self.smoke:
                    self._one(item, _SMOKE_PATIENCE * item.limit, server, log)
                elif left < item.needs:
                    record = Record(self.out / FINDINGS, item.name)
                    record.end("skipped", error=f"{max(left, 0):.0f} s of the budget left, it needs {item.needs:.0f}")
                else:
                    self._one(item, min(item.limit, left), server, log)
                self.write([item.name for item in items])
        return collect(self.out / FINDINGS)

    def write(self, expected: Sequence[str]) -> None:
        """What has been found so far, as JSON and as a table."""
        write_results(self.out, collect(self.out / FINDINGS), smoke=self.smoke, expected=expected)

    def _one(self, item: Item, seconds: float, server: Server, log: IO[str]) -> None:
        record = Record(self.out / FINDINGS, item.name)
        files = {"findings": str(self.out / FINDINGS), "log": str(self.out / LOG)}
        pid = server.start(
            {"name": item.name, "function": item.function, **files, "seconds": seconds, "smoke": self.smoke}
        )
        deadline = time.monotonic() + seconds
        code = None
        while code is None and time.monotonic() < deadline:
            code = server.ended(_POLL_SECONDS)
            print(log.read(), end="", flush=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # the part, if it is late, and whatever it has left behind
        print(log.read(), end="", flush=True)
        if code is None:
            server.ended(_KILLED_SECONDS)
            record.end("timed out", error=f"killed after {seconds:.0f} s\n{self._last_lines()}")
        elif "seconds" not in collect(self.out / FINDINGS).get(item.name, {}):
            record.end("crashed", error=f"exit code {code}\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join((self.out / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
