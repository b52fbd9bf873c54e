"""A language's stream: two integers of state, across epochs, in both directions."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.epoch_plan import PLAN_VERSION
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.errors import DataError


class Table(SimpleNamespace):
    """The columns of a sample table that a stream uses."""

    def __len__(self) -> int:
        return len(self.samples)


def table(utterances: int = 200) -> Table:
    samples = np.random.default_rng(3).integers(16_000, 160_000, utterances).astype(np.int32)
    return Table(
        rows=np.arange(utterances),
        samples=samples,
        durations=samples / 16_000,
        shard=np.arange(utterances, dtype=np.int32) // 50,
        frames=samples // 320,
    )


def stream(**changes: object) -> LanguageStream:
    arguments: dict = {"language": "ron", "seed": 0, "batch_seconds": 60.0, "window_shards": 2} | changes
    return LanguageStream(arguments.pop("table", table()), **arguments)


def test_following_next_visits_every_batch_of_every_epoch_once() -> None:
    ron = stream()
    position = Position()
    for epoch in range(3):
        rows = []
        while position.epoch == epoch:
            rows.append(ron.at(position))
            position = ron.next(position)
        assert sorted(np.concatenate(rows)) == list(range(200))


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 60), steps=st.integers(0, 60))
def test_back_undoes_next(start: int, steps: int) -> None:
    ron = stream()
    position = Position()
    for _ in range(start):
        position = ron.next(position)
    later = position
    for _ in range(steps):
        later = ron.next(later)
    assert ron.back(later, steps) == position


def test_there_is_nothing_before_the_first_batch() -> None:
    ron = stream()
    assert ron.back(Position(0, 3), 3) == Position()
    with pytest.raises(ValueError, match="had not begun"):
        ron.back(Position(0, 3), 4)


def test_a_new_stream_gives_the_same_batch_at_a_position() -> None:
    travelled, fresh = stream(), stream()
    for epoch in range(5):
        travelled.batches(epoch)
    assert np.array_equal(travelled.at(Position(1, 2)), fresh.at(Position(1, 2)))


def test_only_a_few_epochs_are_kept_in_memory() -> None:
    ron = stream()
    for epoch in range(20):
        ron.batches(epoch)
    assert len(ron._epochs) == 3
    assert ron.batches(19) is ron.batches(19)


def test_no_utterances_is_an_error_that_names_the_language() -> None:
    with pytest.raises(DataError, match=r"ron: no utterance is left .*max_seconds"):
        stream(table=table(0))


def test_a_position_of_another_plan_is_refused_by_name() -> None:
    ron = stream()
    for batch in (999, len(ron.batches(1))):
        with pytest.raises(DataError, match=rf"ron: batch {batch} of epoch 1 does not exist.*optim\.batch_seconds"):
            ron.at(Position(1, batch))


def test_progress_counts_epochs() -> None:
    ron = stream()
    assert ron.progress(Position(2, 0)) == 2.0
    assert ron.progress(Position(2, len(ron.batches(2)) // 2)) == pytest.approx(2.5, abs=0.1)


def test_the_fingerprint_is_fixed_for_ever() -> None:
    """With another one, every run would begin a new epoch when it goes on."""
    samples = (16_000 + np.arange(40) * 7_919 % 50_000).astype(np.int32)
    rows = np.arange(0, 80, 2)
    given = Table(rows=rows, samples=samples, durations=samples / 16_000, shard=(rows // 20).astype(np.int32))
    assert stream(table=given).fingerprint == "f7159d7c53ffffe793b51afba86c7ae5"


def test_the_fingerprint_changes_with_the_version_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stream().fingerprint
    monkeypatch.setattr("mms_dist.data.stream.PLAN_VERSION", PLAN_VERSION + 1)
    assert stream().fingerprint != before


def test_the_fingerprint_changes_with_everything_the_plan_depends_on() -> None:
    longer = table()
    longer.samples = longer.samples + 1
    moved = table()
    moved.shard = moved.shard[::-1]
    selected = table()
    selected.rows = selected.rows + 1
    changes = [
        {},
        {"seed": 1},
        {"language": "ita"},
        {"batch_seconds": 61.0},
        {"window_shards": 3},
        {"table": selected},
        {"table": longer},
        {"table": moved},
    ]
    assert stream().fingerprint == stream().fingerprint
    assert len({stream(**change).fingerprint for change in changes}) == len(changes)
