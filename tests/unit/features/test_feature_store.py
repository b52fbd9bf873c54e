"""Front-end features are kept within their budget, come from the device without a wait, and may go to a disk."""

import os
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mms_dist.data.batch import FeatureKey
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import ConfigError
from mms_dist.features.feature_spill import FeatureSpill
from mms_dist.features.feature_store import FeatureStore
from mms_dist.model import transfer

CPU = torch.device("cpu")
CHANNELS, FRAMES = 4, 10
BYTES = FRAMES * CHANNELS * 2


def key(row: int, language: str = "ron", waveform: int = 0) -> FeatureKey:
    return FeatureKey(UtteranceId(language, "train", row), waveform)


def features(of: FeatureKey) -> Tensor:
    random = torch.Generator().manual_seed(hash(of) % 2**31)
    return torch.randn(FRAMES, CHANNELS, generator=random).to(torch.bfloat16)


def put(store: FeatureStore, *keys: FeatureKey) -> None:
    """As two passes do: memory is taken when one is described, and filled when it is computed."""
    for each in keys:
        store.reserve(each, (FRAMES, CHANNELS), torch.bfloat16)
    store.fill({each: features(each) for each in keys})
    store.write_behind()


def kept(store: FeatureStore, *keys: FeatureKey) -> list[bool]:
    found = [store.get(each) for each in keys]
    assert all(got is None or got.equal(features(each)) for each, got in zip(keys, found, strict=True))
    return [got is not None for got in found]


ROWS = [key(row) for row in range(6)]


def test_slabs_keep_to_the_budget_and_return_with_their_language() -> None:
    store = FeatureStore(CPU, budget_bytes=5 * BYTES, slab_bytes=2 * BYTES)
    put(store, *ROWS[:3])  # a slab and a half
    put(store, key(0, "ita"))  # what is left is less than a slab
    put(store, key(1, "ita"), ROWS[3])
    assert kept(store, *ROWS[:4]) == [True] * 4
    assert kept(store, key(0, "ita"), key(1, "ita")) == [True, False]
    store.forget("ron")
    put(store, key(1, "ita"), key(2, "ita"))
    assert kept(store, key(0, "ita"), key(1, "ita"), key(2, "ita"), *ROWS[:4]) == [True] * 3 + [False] * 4


def test_memory_reserved_twice_is_taken_once_and_what_has_none_is_not_kept() -> None:
    store = FeatureStore(CPU, budget_bytes=2 * BYTES)
    for _ in range(3):
        store.reserve(ROWS[0], (FRAMES, CHANNELS), torch.bfloat16)
    assert kept(store, ROWS[0]) == [False]  # reserved, and not computed yet
    put(store, ROWS[0], ROWS[1], ROWS[2])
    put(store, ROWS[0])
    assert kept(store, *ROWS[:3]) == [True, True, False]


class Locked:
    """Page-locked memory as a GPU's: in powers of two, and until the machine refuses more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int = 1 << 40) -> None:
        self.most, self.taken = most, []  # type: tuple[int, list[int]]
        monkeypatch.setattr(transfer, "pinned_bytes", lambda size, device: transfer.power_of_two(size))
        monkeypatch.setattr(transfer, "pinned", self.take)

    def take(self, size_bytes: int, device: torch.device) -> Tensor | None:
        if sum(self.taken) + size_bytes > self.most:
            self.taken.append(0)
            return None
        self.taken.append(1 << (size_bytes - 1).bit_length())
        return torch.empty(size_bytes, dtype=torch.uint8)


def test_no_more_memory_is_locked_than_the_budget_whatever_its_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of 80 bytes would take 128 each."""
    locked = Locked(monkeypatch)
    store = FeatureStore(CPU, budget_bytes=1_000, slab_bytes=512)
    put(store, *ROWS, *(key(row) for row in range(6, 12)))
    assert locked.taken == [512, 256, 128] and sum(kept(store, *ROWS, *(key(row) for row in range(6, 12)))) == 6 + 3 + 1


def test_without_lockable_memory_the_rest_is_not_cached_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, told = Locked(monkeypatch, most=256), []  # type: tuple[Locked, list[str]]
    spill = FeatureSpill(tmp_path, on_notice=print)
    store = FeatureStore(CPU, budget_bytes=1_000, slab_bytes=256, spill=spill, on_notice=told.append)
    put(store, *ROWS)
    assert kept(store, *ROWS) == [True] * 3 + [False] * 3
    assert locked.taken == [256, 0], "it is not asked again"
    assert len(told) == 1 and "page-locks no more memory than 0.00 GiB" in told[0] and not spill._coming_bytes
    store.close()


def test_features_on_their_way_to_disk_use_slabs_that_return(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = Locked(monkeypatch)
    spill = FeatureSpill(tmp_path, on_notice=print, memory_bytes=2_560)
    store = FeatureStore(CPU, budget_bytes=0, slab_bytes=512, spill=spill)
    put(store, *ROWS)
    assert locked.taken == [256, 256] and kept(store, *ROWS) == [True] * 6
    held = weakref.ref(store._on_its_way.memory_N.untyped_storage())
    put(store, key(6))
    assert locked.taken == [256] * 3 and held() is None
    store.close()


class Copy:
    """One that ends when a test says so, or when it is waited for."""

    def __init__(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        self.pairs, self.is_over = pairs, False

    def wait(self) -> None:
        for tensor, target in self.pairs:
            target.copy_(tensor)
        self.is_over = True


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[Copy]:
    """As a GPU's: begun, and not over."""
    begun: list[Copy] = []

    def begin(pairs: list[tuple[Tensor, Tensor]]) -> Copy:
        begun.append(Copy(pairs))
        return begun[-1]

    monkeypatch.setattr(transfer, "begin_to_host", begin)
    return begun


def test_features_are_not_read_before_they_have_come_from_the_device(tmp_path: Path, copies: list[Copy]) -> None:
    store = FeatureStore(CPU, budget_bytes=BYTES, spill=FeatureSpill(tmp_path, on_notice=print))
    put(store, ROWS[0], ROWS[1])
    assert len(copies) == 1, "one for all of a pass"
    assert kept(store, ROWS[1]) == [False], "on its way to the disk"
    assert kept(store, ROWS[0]) == [True] and copies[0].is_over
    store.write_behind()
    assert kept(store, ROWS[1]) == [True]
    store.close()


def test_spilled_features_lie_in_unnamed_files_and_leave_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    store = FeatureStore(CPU, budget_bytes=2 * BYTES, spill=FeatureSpill(tmp_path / "new", on_notice=told.append))
    others = [key(row, "ita") for row in range(3)]
    put(store, *ROWS, *others)
    assert kept(store, *ROWS, *others) == [True] * 9
    assert kept(store, key(0, waveform=3)) == [False], "other audio"
    put(store, key(5, waveform=3))
    assert kept(store, key(5, waveform=3), ROWS[5]) == [True, True]
    store.forget("ron")
    assert kept(store, *ROWS, *others) == [False] * 6 + [True] * 3
    assert [*(tmp_path / "new").iterdir()] == []
    store.close()
    assert kept(store, *others) == [False] * 3 and not told


@pytest.mark.parametrize("fails", ["pwrite", "short", "preadv"])
def test_a_failing_disk_ends_spilling_with_a_notice_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    told: list[str] = []
    store = FeatureStore(CPU, budget_bytes=BYTES, spill=FeatureSpill(tmp_path, on_notice=told.append))
    put(store, *ROWS[:3])
    assert kept(store, *ROWS[:3]) == [True] * 3

    def full(*args: Any) -> int:
        if fails == "short":
            return 3
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite" if fails == "short" else fails, full)
    put(store, *ROWS[3:])
    assert kept(store, *ROWS[:2]) == [True, fails == "never"]
    assert len(told) == 1 and str(tmp_path) in told[0] and "computed again" in told[0]
    put(store, *ROWS[3:])
    assert kept(store, *ROWS) == [True] + [False] * 5 and len(told) == 1
    store.close()


def test_features_wait_for_the_disk_within_bounds(tmp_path: Path, copies: list[Copy]) -> None:
    spill = FeatureSpill(tmp_path, on_notice=print, memory_bytes=5 * BYTES // 2)  # four fifths of it are two of them
    store = FeatureStore(CPU, budget_bytes=0, spill=spill)
    put(store, ROWS[0])
    put(store, ROWS[1])
    put(store, ROWS[2])
    for copy in copies:
        copy.wait()
    store.write_behind()
    put(store, ROWS[3])
    copies[-1].wait()
    store.write_behind()
    assert kept(store, *ROWS[:4]) == [True, True, False, True]
    store.close()


def test_a_spill_folder_that_cannot_be_written_is_named_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"model\.feature_spill_directory: no file can be created in .*file.*leave it out"
    ):
        FeatureSpill(tmp_path / "file", on_notice=print)
