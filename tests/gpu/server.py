"""The process that parts are forked from: it has imported everything, and touches no GPU.

    python -m tests.gpu.server ANSWERS

Requests come as lines of JSON on standard input; the answers go to the file descriptor ANSWERS: the process id of the
part as soon as there is one, and then its exit code. It ends with its standard input.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from select import select
from typing import IO, Any, Self

from tests.gpu.child import IMPORTED, forked

ROOT = Path(__file__).resolve().parents[2]


def serve(answers: IO[str]) -> None:
    """Fork, answer, wait, answer; one part at a time."""
    for module in IMPORTED:
        importlib.import_module(module)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            forked(**json.loads(line))
        print(pid, file=answers, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


class Server:
    """The runner's end. Leaving the `with` block ends the server, if one was needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: IO[bytes] | None = None

    def start(self, request: Mapping[str, Any]) -> int:
        """The process id of a part that has begun; at first, waits until everything is imported.

        Raises:
            RuntimeError: the server has ended.
        """
        process, answers = self._connected()
        assert process.stdin is not None
        print(json.dumps(request), file=process.stdin, flush=True)
        answer = answers.readline()
        if not answer:
            raise RuntimeError("the process that parts are forked from has ended; see above")
        return int(answer)

    def ended(self, seconds: float) -> int | None:
        """The exit code of the part that was started, negative for a signal; None if it has not ended by then."""
        _, answers = self._connected()
        readable, _, _ = select([answers], [], [], max(0.0, seconds))
        return int(answers.readline()) if readable else None

    def _connected(self) -> "tuple[subprocess.Popen[str], IO[bytes]]":
        if self._process is None or self._answers is None:
            here, there = os.pipe()
            command = [sys.executable, "-m", "tests.gpu.server", str(there)]
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, pass_fds=[there], text=True)
            os.close(there)
            self._answers = os.fdopen(here, "rb", buffering=0)  # `select` must see every line that is not read
        return self._process, self._answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._answers is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
            self._answers.close()


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "w") as _answers:
        serve(_answers)
