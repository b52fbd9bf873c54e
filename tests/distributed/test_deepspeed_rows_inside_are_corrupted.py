"""Rows inside a ZeRO engine are silently wrong where ranks hold different languages; rows outside of it are exact.

Comparing the ranks with each other would not show it: they agree. Comparing with one process does, and that the same
comparison fails for rows inside shows that it would.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase
from tests.distributed.ranks import run_ranks
from tests.distributed.rows_in_and_out import OWNED, SPARE_SLOT, farthest, start_rows, train_rows

CONFIGS = Path(__file__).parents[2] / "configs" / "deepspeed"
BOUND = 1e-3
"""DESIGN I1 in float32."""


@pytest.fixture(scope="module")
def start(small_base: Path) -> dict[int, Tensor]:
    return start_rows(FrozenBase.load(str(small_base), dtype=torch.float32))


@pytest.fixture(scope="module")
def alone(small_base: Path) -> dict[int, Tensor]:
    """The rows of all languages after one process trained them."""
    return train_rows(FrozenBase.load(str(small_base), dtype=torch.float32), range(SPARE_SLOT))


@pytest.mark.parametrize("name", ["zero0", "zero1", "zero2", "zero3", "zero3_offload"])
def test_rows_outside_the_engine_train_as_in_one_process(
    name: str, small_base: Path, alone: dict[int, Tensor], start: dict[int, Tensor]
) -> None:
    notes = {"base": str(small_base), "settings": str(CONFIGS / f"{name}.json")}
    ended = run_ranks(2, "tests.distributed.rows_in_and_out:outside", notes, timeout_seconds=120)
    rows = ended.notes[0]["rows"] | ended.notes[1]["rows"]
    assert set(rows) == set(range(SPARE_SLOT))
    assert farthest(rows, alone, start) <= BOUND


@pytest.mark.parametrize("stage", [1, 2])
def test_rows_inside_the_engine_differ_from_those_of_one_process(
    stage: int, small_base: Path, alone: dict[int, Tensor], start: dict[int, Tensor]
) -> None:
    first, second = rows_inside(small_base, stage, OWNED)
    assert all(torch.equal(first[slot], second[slot]) for slot in first), "the ranks agree with each other"
    assert all(row.isfinite().all() for row in first.values()), "nothing looks wrong"
    assert farthest(first, alone, start) > 100 * BOUND


@pytest.mark.parametrize("stage", [1, 2])
def test_rows_inside_are_right_only_where_every_rank_holds_every_language(
    stage: int, small_base: Path, alone: dict[int, Tensor], start: dict[int, Tensor]
) -> None:
    """It is the difference between ranks that corrupts them, and nothing else of this engine."""
    for rows in rows_inside(small_base, stage, [range(SPARE_SLOT)] * 2):
        assert farthest(rows, alone, start) <= BOUND


def rows_inside(base: Path, stage: int, owned: Sequence[Sequence[int]]) -> list[dict[int, Tensor]]:
    """All rows as each rank has them at the end."""
    settings = str(CONFIGS / f"zero{stage}.json")
    notes = {"base": str(base), "settings": settings, "stage": stage, "owned": owned}
    ended = run_ranks(2, "tests.distributed.rows_in_and_out:inside", notes, timeout_seconds=120)
    return [notes["rows"] for notes in ended.notes]


def test_ranks_hold_different_and_unequally_many_languages() -> None:
    assert not set(OWNED[0]) & set(OWNED[1])
    assert len(OWNED[0]) != len(OWNED[1])


def test_ranks_hold_as_many_numbers(start: dict[int, Tensor]) -> None:
    """Without which the engine would fail, and not be wrong in silence."""
    numbers = [sum(start[slot].numel() for slot in owned) for owned in OWNED]
    assert numbers[0] == numbers[1]
