"""Page-locked memory: what is taken of it, and what happens where a machine refuses more."""

from typing import Any

import pytest
import torch

from mms_dist.model import transfer

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
NO_MEMORY = "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs.nvidia.com/cuda"


@pytest.mark.parametrize(
    ("size", "up", "down"), [(0, 0, 0), (1, 1, 1), (3, 4, 2), (4096, 4096, 4096), (4097, 8192, 4096), (80, 128, 64)]
)
def test_locked_memory_comes_in_powers_of_two(size: int, up: int, down: int) -> None:
    assert (transfer.power_of_two(size), transfer.power_of_two(size, down=True)) == (up, down)
    assert transfer.pinned_bytes(size, GPU) == up and transfer.pinned_bytes(size, CPU) == size


class Refusing:
    """`torch.empty` and `torch.ones` where CUDA says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, message: str, *, stale: bool = False) -> None:
        self.message, self.stale, self.launches = message, stale, 0
        self._empty = torch.empty
        monkeypatch.setattr(torch, "empty", self.empty)
        monkeypatch.setattr(torch, "ones", self.ones)

    def empty(self, *size: Any, pin_memory: bool = False, **options: Any) -> Any:
        if pin_memory:
            raise torch.AcceleratorError(self.message)
        return self._empty(*size, **options)

    def ones(self, *_: Any, device: torch.device) -> None:
        self.launches += 1
        if self.stale:
            raise torch.AcceleratorError(self.message)


@pytest.mark.parametrize("stale", [False, True])
@pytest.mark.parametrize("message", [NO_MEMORY, "CUDA error: OS call failed or operation not supported on this OS"])
def test_a_machine_that_locks_no_more_does_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, message: str, stale: bool
) -> None:
    torch_ = Refusing(monkeypatch, message, stale=stale)
    assert transfer.pinned(1 << 20, GPU) is None
    assert torch_.launches == 1, "what CUDA remembers of it is taken up here"
    assert transfer.pinned(100, CPU) is not None and torch_.launches == 1


def test_another_error_of_the_gpu_is_raised_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    Refusing(monkeypatch, "CUDA error: an illegal memory access was encountered")
    with pytest.raises(torch.AcceleratorError, match="illegal memory access"):
        transfer.pinned(1 << 20, GPU)


def test_a_thread_sleeps_while_it_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Event:
        def __init__(self, **options: Any) -> None:
            made.append(options)

        def record(self, stream: Any) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    transfer._behind(GPU)
    assert made == [{"blocking": True}]
