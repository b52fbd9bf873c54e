"""A signal sets a flag; the round loop looks at it between rounds."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopFlag:
    """Set by the first SIGINT, SIGTERM or SIGUSR1 inside a `with` block; a second SIGINT interrupts at once."""

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
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = True
