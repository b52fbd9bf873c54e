"""The product's commands as a user types them, each in a process of its own.

They are forked, as a part is (see `child`), from the process of a part that has not used the device; so importing torch
is paid for once. One command of the product part is started from nothing.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.gpu.part import Part

_FORK = multiprocessing.get_context("fork")
_POLL_SECONDS = 0.05
TIMED_OUT = 124


@dataclass(frozen=True)
class Commands:
    """Attributes:
    log: all that they print.
    environment: what their environment has besides; None takes a variable away.
    """

    part: Part
    log: Path
    environment: Mapping[str, str | None] = field(default_factory=dict)

    def run(self, *words: str, seconds: float = 60) -> int:
        """`mms-dist WORDS`: its exit status, or 124 if it had not ended by then."""
        with self.started(*words) as process:
            process.join(max(1.0, min(seconds, self.part.left() - 5)))
            return TIMED_OUT if process.exitcode is None else int(process.exitcode)

    def succeeds(self, *words: str, name: str | None = None, seconds: float = 60) -> bool:
        """The check that a command ends with 0; how long it took is noted, and what it printed if it did not."""
        name, began, offset = name or f"mms-dist {words[0]}", time.monotonic(), self._size()
        code = self.run(*words, seconds=seconds)
        self.part.record.note(f"{name}, s", time.monotonic() - began)
        return self.part.record.holds(
            f"{name} ends with 0", code == 0, "" if code == 0 else f"{code}: {self.tail(offset)}"
        )

    def killed(self, *words: str, when: Callable[[], bool], seconds: float = 60) -> bool:
        """Start a command and kill it without warning as soon as `when` holds; whether that came before its end."""
        deadline = time.monotonic() + min(seconds, self.part.left() - 5)
        with self.started(*words) as process:
            while process.exitcode is None and not when() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            return process.exitcode is None and when()

    @contextlib.contextmanager
    def started(self, *words: str) -> Iterator[BaseProcess]:
        """A command at work; at the end of the block it is killed, if it has not ended."""
        process = _FORK.Process(target=_command, args=(words, str(self.log), dict(self.environment)))
        process.start()
        try:
            yield process
        finally:
            if process.exitcode is None:
                assert process.pid is not None
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            process.join()

    def tail(self, offset: int = 0) -> str:
        """The end of what has been printed since then."""
        with open(self.log, encoding="utf-8", errors="replace") as stream:
            stream.seek(offset)
            return stream.read()[-1500:]

    def _size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0


def _command(words: tuple[str, ...], log: str, environment: dict[str, str | None]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    print(f"\n$ mms-dist {' '.join(words)}", flush=True)
    for name, value in ({"HF_HUB_OFFLINE": "1"} | environment).items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    import torch

    if torch.cuda._is_in_bad_fork():
        os.execv(sys.executable, [sys.executable, "-m", "launcher", *words])
    from launcher import cli

    sys.exit(cli.main(list(words)))
