"""A meeting point that cannot be had is told with its fix, and not as a bug of ours."""

import socket
import threading
import time

import pytest

from mms_dist.distributed import key_value_store
from mms_dist.distributed.launch_environment import LaunchEnvironment
from mms_dist.distributed.process_group import store_at
from mms_dist.errors import CommError, ConfigError, StoppedEarly


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommError, match=rf"127\.0\.0\.1:{port}.*main_process_port"):
            store_at(LaunchEnvironment(rank=0, world=2, port=port), 2.0)


def test_a_first_rank_that_is_not_there_is_missed_within_the_time() -> None:
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    with pytest.raises(CommError, match=r"rank 1 cannot .* check that rank 0 was started"):
        store_at(LaunchEnvironment(rank=1, world=2, port=port), 2.0)


def test_a_first_machine_without_an_address_is_named_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_value_store, "LOOK_UP_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"MASTER_ADDR is 'nowhere\.invalid'"):
        store_at(LaunchEnvironment(rank=1, world=2, host="nowhere.invalid", port=29500), 600.0)
    assert time.monotonic() - began < 30.0


def test_a_server_that_never_answers_is_left_within_the_time_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(CommError, match="accepts connections but does not answer"):
            store_at(LaunchEnvironment(rank=1, world=2, port=silent.getsockname()[1]), 0.5)


@pytest.mark.parametrize("listens", [False, True])
def test_a_stop_ends_the_wait_for_the_first_rank(listens: bool) -> None:
    """Nobody takes connections yet, or somebody does and never answers."""
    stop = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(StoppedEarly, match=r"rank 1 of 2 .* rank 0 at 127\.0\.0\.1"):
            store_at(LaunchEnvironment(rank=1, world=2, port=server.getsockname()[1]), 600.0, stop.is_set)
        assert time.monotonic() - began < 5.0
