"""The run's key-value store, and the wait for its server: resolve its host name, and try its port until it answers.

torch's own client does both in one call that cannot be interrupted, prints stack traces while it retries, and waits
forever for a server that accepts the connection but never answers.
"""

import socket
import time
from collections.abc import Callable
from typing import Protocol

from mms_dist.distributed.startup_waits import StartupWait
from mms_dist.errors import ConfigError

LOOK_UP_SECONDS = 8.0
"""A host name may become resolvable a little after its machine has started."""
_TRY_SECONDS, _PAUSE_SECONDS = 1.0, 0.2


class Store(Protocol):
    """The store's methods that the ranks use, as in torch's TCPStore. They are called from several threads."""

    def set(self, key: str, value: str, /) -> None: ...
    def get(self, key: str, /) -> bytes: ...
    def add(self, key: str, amount: int, /) -> int: ...
    def check(self, keys: list[str], /) -> bool: ...
    def multi_get(self, keys: list[str], /) -> list[bytes]: ...


def wait_for_server(
    host: str, port: int, longest_seconds: float, wait: StartupWait, describe_waited_for: Callable[[], str]
) -> None:
    """Wait until `host:port` accepts connections.

    Raises:
        ConfigError: the host name cannot be resolved.
        TimeoutError: no connection within the time limit; the message is the last problem.
        StoppedEarly: a stop was requested.
    """
    deadline = time.monotonic() + longest_seconds
    addresses = _look_up(host, port, min(deadline, time.monotonic() + LOOK_UP_SECONDS), wait)
    problem = "no answer"
    while True:
        for family, kind, protocol, _, address in addresses:
            try:
                with socket.socket(family, kind, protocol) as probe:
                    probe.settimeout(_TRY_SECONDS)
                    probe.connect(address)
                    return
            except OSError as error:
                problem = error.strerror or "no answer"
            wait.check(describe_waited_for)
        if time.monotonic() > deadline:
            raise TimeoutError(problem)
        wait.pause(describe_waited_for, _PAUSE_SECONDS)


def _look_up(host: str, port: int, deadline: float, wait: StartupWait) -> list[tuple]:
    def describe_address() -> str:
        return f"the address of {host!r} (MASTER_ADDR)"

    while True:
        try:
            left = max(0.1, deadline - time.monotonic())
            return wait.call(
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
                longest_seconds=left,
                describe_waited_for=describe_address,
            )
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            if time.monotonic() > deadline or isinstance(error, UnicodeError):
                reason = getattr(error, "strerror", None) or "no answer"
                raise ConfigError(
                    f"MASTER_ADDR is {host!r}, but this machine cannot resolve that name ({reason})",
                    fix=(
                        "set it to the name or IP address of rank 0's machine (accelerate: --main_process_ip, "
                        "torchrun: --master-addr)"
                    ),
                ) from error
        wait.pause(describe_address, _PAUSE_SECONDS)
