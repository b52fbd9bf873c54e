"""The batches that training reads are those that the language's own settings ask for, whatever the machine."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mms_dist.config import Config, Data
from mms_dist.data.loader import BatchLoader, BatchRequest
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.data.training_stream import trainable, training_stream, unflagged
from shards.index import STRING, SampleTable
from tests.training import toy_config

SHARDS, EACH = 24, 20


def sample_table() -> SampleTable:
    count = SHARDS * EACH
    samples = np.random.default_rng(5).integers(16_000, 64_000, count).astype(np.int32)
    numbers = np.zeros(count, dtype=np.int32)
    return SampleTable(
        rows=np.arange(count),
        keys=np.array([f"{row % EACH:06d}" for row in range(count)], dtype=STRING),
        shard=np.arange(count, dtype=np.int32) // EACH,
        offset=numbers.astype(np.int64),
        size=numbers.astype(np.int64),
        crc32=numbers.astype(np.uint32),
        samples=samples,
        frames=samples // 320,
        label_length=numbers + 5,
        required_frames=numbers + 5,
        speaker=np.array([""] * count, dtype=STRING),
        align_score=np.full(count, np.nan, dtype=np.float32),
    )


TABLE = sample_table()
INDEX: Any = SimpleNamespace(language="ron", table=lambda split: {"train": TABLE}[split])


def config(window_shards: int = 3, **data: Any) -> Config:
    sections = {"data": {"window_shards": window_shards, "max_seconds": None} | data, "optim": {"batch_seconds": 10.0}}
    return toy_config(Path("run"), Path("base"), Path("shards"), **sections)


def shards_open(stream: LanguageStream, epoch: int = 0) -> int:
    """The most shards of which, at any batch, some was read and more will be."""
    batches = stream.batches(epoch)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, batch in enumerate(batches):
        for shard in set(stream.table.shard[batch].tolist()):
            first.setdefault(shard, number)
            last[shard] = number
    return max(sum(first[s] <= number <= last[s] for s in first) for number in range(len(batches)))


@pytest.mark.parametrize("window", [1, 3, 8])
@pytest.mark.parametrize("workers", [0, 1, 4, 16])
def test_the_window_limits_open_shards_with_any_number_of_workers(window: int, workers: int) -> None:
    stream = training_stream(config(window, workers=workers), INDEX)
    assert shards_open(stream) == window
    assert stream.fingerprint == training_stream(config(window, workers=1), INDEX).fingerprint


def test_the_loader_reads_the_streams_batches_with_any_workers() -> None:
    def read(language: str, split: str, row: int, *, allocate: Any) -> Any:
        return SimpleNamespace(key=str(TABLE.keys[row]), audio=np.full(400, row % 100, np.int16), text="a")

    reader: Any = SimpleNamespace(read=read)
    vocabulary: Any = SimpleNamespace(encode=lambda text: [5])
    stream = training_stream(config(), INDEX)
    positions = [Position(epoch, batch) for epoch in range(2) for batch in range(len(stream.batches(epoch)))]
    for workers in (0, 3):
        with BatchLoader(reader, {"ron": stream}, {"ron": vocabulary}, workers=workers) as loader:
            for position in positions:
                loader.prefetch([BatchRequest("ron", position)])
                (batch,) = loader.take([BatchRequest("ron", position)])
                assert [item.id.row for item in batch.utterances] == stream.at(position).tolist()
                assert {item.epoch for item in batch.utterances} == {position.epoch}
                assert {(item.id.language, item.id.split) for item in batch.utterances} == {("ron", "train")}
                assert batch.planned == batch.size == len(batch.utterances)


@pytest.mark.parametrize(
    "same",
    [
        {"workers": 7},
        {"prefetch_rounds": 5},
        {"cache_gib": 1.0},
        {"max_seconds": 30.0},  # which leaves nothing out
    ],
)
def test_settings_of_the_machine_change_no_plan(same: dict[str, Any]) -> None:
    assert training_stream(config(**same), INDEX).fingerprint == training_stream(config(), INDEX).fingerprint


def test_a_language_has_the_batches_that_its_own_settings_ask_for() -> None:
    own = {"languages": {"ron": {"optim": {"batch_seconds": 20.0}}, "ukr": {"optim": {"batch_seconds": 40.0}}}}
    setting = toy_config(Path("run"), Path("base"), Path("shards"), optim={"batch_seconds": 10.0}, **own)
    stream = training_stream(setting, INDEX)
    assert stream.batch_seconds == 20.0
    assert TABLE.durations.sum() / len(stream.batches(0)) == pytest.approx(20.0, rel=0.1)


def test_what_cannot_be_trained_on_is_in_no_batch() -> None:
    table = TABLE.select(np.arange(len(TABLE)))
    table.label_length[7] = 0
    table.required_frames[9] = table.frames[9] + 1
    table.required_frames[11] = table.frames[11]  # just enough
    index: Any = SimpleNamespace(language="ron", table=lambda split: table)
    stream = training_stream(config(max_seconds=3.5), index)
    long = np.flatnonzero(table.durations > 3.5).tolist()
    expected = sorted(set(range(len(table))) - {7, 9, *long})
    assert 11 in expected and len(long) > 10
    assert sorted(stream.table.rows[np.concatenate(stream.batches(0))].tolist()) == expected


def test_every_row_is_in_an_epoch_once_though_keys_repeat() -> None:
    stream = training_stream(config(), INDEX)
    for epoch in range(3):
        assert sorted(np.concatenate(stream.batches(epoch)).tolist()) == list(range(len(TABLE)))


class Columns(SimpleNamespace):
    """The columns of a sample table that a selection looks at."""

    def select(self, keep: np.ndarray) -> Any:
        return np.flatnonzero(keep).tolist()


def columns(*rows: tuple[int, int, int, float]) -> Any:
    """Rows of labels, frames needed for them, frames there, and seconds."""
    labels, needed, frames, seconds = map(np.array, zip(*rows, strict=True))
    return Columns(label_length=labels, required_frames=needed, frames=frames, durations=seconds)


def test_trainable_utterances_have_labels_that_fit_and_are_not_too_long() -> None:
    bounds = columns(
        (1, 1, 1, 0.5), (0, 0, 9, 0.5), (3, 5, 5, 9.9), (3, 5, 4, 9.9), (3, 5, 6, 10.0), (3, 5, 6, 10.0001)
    )
    assert trainable(bounds, Data()) == [0, 2, 4, 5]
    assert trainable(bounds, Data(max_seconds=10.0)) == [0, 2, 4]
    bounds.align_score = np.array([-3, -1, -2, -1, np.nan, -2.5])
    assert trainable(bounds, Data(min_align_score=-2)) == [2, 4]


def test_a_table_of_which_all_can_be_trained_on_is_not_copied() -> None:
    whole = columns((3, 5, 5, 1.0), (1, 1, 9, 2.0))
    assert trainable(whole, Data(max_seconds=2.0)) is whole


def test_flagged_utterances_are_left_out_and_change_the_batches() -> None:
    flags = np.array(["clipped" if row % 7 == 0 else "mostly_silent,clipped" if row == 1 else "" for row in TABLE.rows])
    index: Any = SimpleNamespace(language="ron", table=INDEX.table, later_column=lambda split, name: flags)
    assert unflagged(TABLE, index, ()) is TABLE and unflagged(TABLE, index, ["unusual_loudness"]) is TABLE
    kept = unflagged(TABLE.select(TABLE.rows > 3), index, ["clipped"])
    assert kept.rows.tolist() == [row for row in TABLE.rows.tolist() if row > 3 and not flags[row]]
    assert 1 not in unflagged(TABLE, index, ["mostly_silent"]).rows
    plain, without = (training_stream(config(leave_out_flagged=names), index) for names in ([], ["clipped"]))
    assert plain.fingerprint == training_stream(config(), INDEX).fingerprint != without.fingerprint
    rows = np.concatenate([without.table.rows[batch] for batch in without.batches(0)])
    assert sorted(rows.tolist()) == [row for row in TABLE.rows.tolist() if not flags[row]]
