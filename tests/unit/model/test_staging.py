"""A pass's tensors arrive as they were, and a block is filled again only when its copy has ended."""

import threading

import pytest
import torch
from torch import Tensor

from mms_dist.model import transfer
from mms_dist.model.staging import StagingBlocks

CPU = torch.device("cpu")


def tensors_of(number: int) -> dict[str, Tensor]:
    """Of every type that a pass has, of lengths that fit no alignment."""
    random = torch.Generator().manual_seed(number)
    audio = torch.randint(-(2**15), 2**15 - 1, (3, 1_001 + 700 * number), generator=random)
    return {
        "audio": audio.to(torch.int16),
        "mask": torch.rand(3, 7, generator=random) > 0.5,
        "features": torch.randn(2, 5, 3, generator=random).to(torch.bfloat16),
        "weights": torch.randn(3, generator=random, dtype=torch.float64),
        "keys": torch.randint(0, 2**62, (3,), generator=random),
        "nothing": torch.zeros(0, 4),
    }


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == tensor.dtype and found[name].equal(tensor) for name, tensor in expected.items()
    )


@pytest.mark.parametrize("copies", [True, False])
def test_staged_tensors_arrive_unchanged_however_passes_grow_and_shrink(copies: bool) -> None:
    staging = StagingBlocks(CPU, blocks=2, copies=copies)
    arrived = []
    for number in (0, 3, 1, 9, 2):
        arrived.append((number, staging.stage(tensors_of(number)).on_device()))
    assert all(same(found, tensors_of(number)) for number, found in arrived)  # later passes changed none of them
    assert (staging.bytes > 0) == copies


def test_no_more_than_the_budget_is_pinned_and_larger_passes_still_arrive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pinned: list[int] = []

    def pin(size_bytes: int, device: torch.device) -> Tensor:
        pinned.append(size_bytes)
        return torch.empty(size_bytes, dtype=torch.uint8)

    monkeypatch.setattr(transfer, "pinned", pin)
    told: list[str] = []
    staging = StagingBlocks(CPU, blocks=2, budget_bytes=2 * 20_000, copies=True, on_notice=told.append)
    for number in (0, 9, 9, 0, 1, 9):
        assert same(staging.stage(tensors_of(number)).on_device(), tensors_of(number))
    assert pinned == [16_384] * 2 and staging.bytes == 2 * 16_384, "powers of two within the budget"
    assert len(told) == 1 and "1 MiB, but only 0.0156 MiB are reserved" in told[0]


def test_passes_use_other_memory_if_none_can_be_locked_with_one_notice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(transfer, "pinned", lambda size_bytes, device: asked.append(size_bytes))
    told: list[str] = []
    staging = StagingBlocks(CPU, blocks=2, copies=True, on_notice=told.append)
    for number in (0, 3, 1, 9):
        assert same(staging.stage(tensors_of(number)).on_device(), tensors_of(number))
    assert len(asked) == len(told) == 1 and "the machine page-locks no more" in told[0]
    assert staging.bytes == 0


class Copy:
    """One that ends when a test says so."""

    def __init__(self) -> None:
        self.over, self.awaited = threading.Event(), threading.Event()

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def wait(self) -> None:
        self.awaited.set()
        assert self.over.wait(10)


def test_a_block_is_not_written_to_before_its_copy_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[Tensor, Copy]] = []

    def begin(block: Tensor, device: torch.device) -> tuple[Tensor, Copy]:
        begun.append((block, Copy()))  # read late: what a device would see
        return block, begun[-1][1]

    monkeypatch.setattr(transfer, "begin_to_device", begin)
    staging = StagingBlocks(CPU, blocks=2, copies=True)
    views = [staging.stage(tensors_of(number)).on_device() for number in (0, 1)]
    third = threading.Thread(target=staging.stage, args=(tensors_of(2),))
    third.start()
    assert begun[0][1].awaited.wait(10) and not begun[1][1].awaited.is_set()
    assert same(views[0], tensors_of(0)) and same(views[1], tensors_of(1))
    begun[0][1].over.set()
    third.join()
    assert same(views[1], tensors_of(1)) and not same(views[0], tensors_of(0))


def test_a_pass_whose_block_was_given_away_is_not_copied() -> None:
    staging = StagingBlocks(CPU, blocks=1, copies=True)
    late = staging.stage(tensors_of(0))
    staging.stage(tensors_of(1))
    with pytest.raises(AssertionError, match="another pass"):
        late.on_device()
