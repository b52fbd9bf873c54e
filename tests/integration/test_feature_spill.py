"""A run whose front-end features go to a disk trains the same adapters, also when that disk fills up."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mms_dist.monitor.events import read_events
from tests.corpus import build_toy_shards
from tests.training import final_row, toy_config, train

WRITES_BEFORE_FULL = 5


@pytest.mark.parametrize("fills_up", [False, True])
def test_features_on_a_disk_change_no_bit_and_a_full_one_is_told_once(
    tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch, fills_up: bool
) -> None:
    shards = build_toy_shards(tmp_path, languages=2, train=8, dev=2)
    train(toy_config(tmp_path / "plain", small_base, shards))
    folder, written, read = tmp_path / "spill", list[int](), list[int]()
    sound_write, sound_read = os.pwrite, os.preadv

    def write(*args: Any) -> int:
        if fills_up and len(written) == WRITES_BEFORE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(1)
        return sound_write(*args)

    def look(*args: Any) -> int:
        read.append(1)
        return sound_read(*args)

    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "preadv", look)
    small = {"feature_cache_gib": 3_000 / 2**30, "feature_spill_directory": str(folder)}
    train(toy_config(tmp_path / "run", small_base, shards, model=small))
    for language in ("taa", "tab"):
        assert final_row(tmp_path / "run", language).equal(final_row(tmp_path / "plain", language))
    told = [
        event for event in read_events(tmp_path / "run" / "events.jsonl") if event["kind"] == "features_not_spilled"
    ]
    assert len(told) == fills_up and written and (read or fills_up)
    assert all(str(folder) in event["reason"] and "No space left" in event["reason"] for event in told)
    assert [*folder.iterdir()] == []
