"""The line between ranks is tried once, within a minute, and an error says between which it does not work."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mms_dist.distributed import connection_test
from mms_dist.distributed.connection_test import LONGEST_SECONDS, check_connection
from mms_dist.distributed.main_thread import MainThread
from mms_dist.errors import CommError, PeerError, StoppedEarly

CPU, GPU = torch.device("cpu"), torch.device("cuda:1")
NCCL = (
    "NCCL error in: /pytorch/ProcessGroupNCCL.cpp:3690, unhandled system error (run with NCCL_DEBUG=INFO for details), "
    "NCCL version 2.28.3\nncclSystemError: System call (e.g. socket, malloc) failed; or device error. \nLast error:\n"
    "{}\nException raised from checkForNCCLErrors at /pytorch/x.cpp:1 (most recent call first):\nframe #0: c10"
)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers stay on the CPU."""
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, device: ones(*shape))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(connection_test, "describe", lambda device: f"{device} (Test GPU)")


@pytest.fixture
def for_ever() -> Iterator[Callable[[torch.Tensor], None]]:
    over = threading.Event()
    yield lambda buffer: over.wait(30) and None
    over.set()


def ranks(work: Callable[[torch.Tensor], Any], *, rank: int = 0, others: tuple[str | None, ...] = (None,)) -> Any:
    """A `Comm` of one rank, whose sum is `work`, and of others that found this."""

    def share(mine: tuple[str | None, str]) -> list[tuple[str | None, str]]:
        said = [(problem, "node1: cuda:0 (Test GPU)") for problem in others]
        return [*said[:rank], mine, *said[rank:]]

    return SimpleNamespace(
        rank=rank,
        world=1 + len(others),
        is_first=rank == 0,
        watchdog=MainThread(),
        all_reduce_max=lambda values, about: values,
        all_gather=share,
        check_stop=lambda: None,
        sum_everywhere=work,
    )


def failed(comm: Any, device: torch.device) -> str:
    with pytest.raises((CommError, PeerError)) as ended:
        check_connection(comm, device)
    assert type(ended.value) is (CommError if comm.is_first else PeerError) and ended.value.exit_code == 1
    assert str(ended.value).count("; ") == 1, "found, then the fix"
    return str(ended.value)


@pytest.mark.parametrize("device", [CPU, GPU])
def test_a_sum_that_is_right_says_nothing(device: torch.device) -> None:
    check_connection(ranks(lambda buffer: buffer.fill_(2)), device)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_sum_without_an_end_is_found_well_under_a_minute(
    monkeypatch: pytest.MonkeyPatch, for_ever: Callable[[torch.Tensor], None], rank: int
) -> None:
    assert LONGEST_SECONDS < 45
    monkeypatch.setattr(connection_test, "LONGEST_SECONDS", 0.1)
    told = failed(ranks(for_ever, rank=rank, others=("no result within 0 s",)), GPU)
    assert "NCCL cannot sum over the 2 ranks (ranks 0-1: no result within 0 s" in told
    assert all(word in told for word in ("node1: cuda:0", "cuda:1 (Test GPU)"))
    assert all(name in told for name in ("NCCL_DEBUG=INFO", "NCCL_SOCKET_IFNAME", "NCCL_IB_DISABLE=1", "InfiniBand"))


def test_ncclss_own_words_are_told_in_one_line_without_its_source() -> None:
    def fails(buffer: torch.Tensor) -> None:
        raise torch.distributed.DistBackendError(NCCL.format("socketStartConnect: Connect to 10.0.0.7 failed"))

    told = failed(ranks(fails), GPU)
    assert "rank 0: NCCL error in" in told and "Connect to 10.0.0.7 failed" in told
    assert "frame #0" not in told and "\n" not in told


def test_two_instances_of_one_gpu_are_told_apart_from_a_broken_fabric() -> None:
    def twice(buffer: torch.Tensor) -> None:
        raise torch.distributed.DistBackendError(NCCL.format("Duplicate GPU detected : rank 0 and rank 1 both on 4000"))

    assert "MIG" in failed(ranks(twice), GPU)


def test_a_wrong_sum_is_found() -> None:
    assert "the sum of 2 ones is 1" in failed(ranks(lambda buffer: None), CPU)
    assert "GLOO_SOCKET_IFNAME" in failed(ranks(lambda buffer: None), CPU)


def test_a_stop_ends_the_trial(for_ever: Callable[[torch.Tensor], None]) -> None:
    def stop() -> None:
        raise StoppedEarly("stopped")

    comm = ranks(for_ever)
    comm.check_stop = stop
    with pytest.raises(StoppedEarly):
        check_connection(comm, GPU)
