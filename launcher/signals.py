"""A signal sets a flag; the round loop looks at it between rounds."""

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

STANDARD_ERROR = 2
STOPPING = b"stopping after this round; Ctrl-C again ends at once\n"
STOPPING_TOGETHER = b"stopping after this round\n"  # a launcher passes on the first Ctrl-C only
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
SENT_BY_LAUNCHERS = (signal.SIGTERM, signal.SIGUSR1)


class StopFlag:
    """Set by the first SIGINT, SIGTERM or SIGUSR1 inside a `with` block; a second SIGINT interrupts at once.

    Behind the block a process alone has its handlers back. One of several is about to end, and ignores what launchers
    send to all as soon as one has ended: it would cut off its last words and take the place of its exit status.
    """

    def __init__(self) -> None:
        self._received = False
        self._previous: dict[int, Any] = {}

    def is_set(self) -> bool:
        return self._received

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            is_over = number in SENT_BY_LAUNCHERS and not _is_alone()
            signal.signal(number, signal.SIG_IGN if is_over else handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._received:
            self._received = True
            _acknowledge()


def _is_alone() -> bool:
    return os.environ.get("WORLD_SIZE", "1") == "1"


def _acknowledge() -> None:
    """Without `print`, which may be at work when the signal comes; once for all processes of a machine."""
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return
    words = STOPPING if _is_alone() else STOPPING_TOGETHER
    over_the_echo = b"\r" if os.isatty(STANDARD_ERROR) else b""  # a terminal shows ^C
    with contextlib.suppress(OSError):  # no standard error is no reason not to stop
        os.write(STANDARD_ERROR, over_the_echo + words)
