"""Run a command, forward signals to it and wait for it."""

import contextlib
import signal
import subprocess
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

FORWARDED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command, forward signals to it, and return its exit status (128 + N if signal N ended it).

    The command runs in its own session, so a Ctrl-C at the terminal reaches it once, through this process, and not
    twice. A second Ctrl-C kills the command and all its descendants.
    """
    return _Child(command, environment).wait()


class _Child:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._interrupted = False
        self._early_signals: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._previous: dict[int, Any] = {number: signal.signal(number, self._forward) for number in FORWARDED_SIGNALS}
        try:
            self._process = subprocess.Popen(command, env=dict(environment), start_new_session=True)
        except BaseException:
            self._restore()
            raise
        for number in self._early_signals:
            self._forward(number, None)

    def wait(self) -> int:
        assert self._process is not None
        try:
            status = self._process.wait()
        except BaseException:
            self._kill()
            raise
        finally:
            self._restore()
        return status if status >= 0 else 128 - status

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if self._process is None:
            self._early_signals.append(number)
        elif number == signal.SIGINT and self._interrupted:
            self._kill()
        else:
            self._interrupted |= number == signal.SIGINT
            self._process.send_signal(number)

    def _kill(self) -> None:
        """Kill the command and all its descendants, whatever their sessions."""
        import psutil  # rarely needed

        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            for process in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
