"""What the section `balance` does to a language: its epochs, its weights in the loss, and what is said about them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mms_dist.config import Balance, Config
from mms_dist.data.language_balance import LanguageBalance, balance_lines, check_weights
from mms_dist.data.stream import Position
from mms_dist.data.training_stream import training_stream, within_hours
from mms_dist.errors import ConfigError, DataError
from shards.index import STRING, SampleTable
from tests.training import toy_config

UTTERANCES, HOUR = 200, 3600
SPEAKERS = np.array(["anna" if row % 5 else ("bela", "cira")[row % 2] for row in range(UTTERANCES)], dtype=STRING)


def table_of(speakers: np.ndarray) -> SampleTable:
    samples = np.random.default_rng(2).integers(16_000, 64_000, len(speakers)).astype(np.int32)
    numbers = np.zeros(len(speakers), dtype=np.int32)
    return SampleTable(
        rows=np.arange(len(speakers)),
        keys=speakers,
        shard=np.arange(len(speakers), dtype=np.int32) // 20,
        offset=numbers.astype(np.int64),
        size=numbers.astype(np.int64),
        crc32=numbers.astype(np.uint32),
        samples=samples,
        frames=samples // 320,
        label_length=numbers + 5,
        required_frames=numbers + 5,
        speaker=speakers,
        align_score=np.full(len(speakers), np.nan, dtype=np.float32),
    )


TABLE = table_of(SPEAKERS)
INDEX: Any = SimpleNamespace(language="ron", table=lambda split: TABLE)
ANNA = TABLE.durations[SPEAKERS == "anna"].sum()


def config(**balance: Any) -> Config:
    sections = {"optim": {"batch_seconds": 10.0}, "augment": {"speed": [0.9, 1.0, 1.1]}, "balance": balance}
    return toy_config(Path("run"), Path("base"), Path("shards"), **sections)


def balance(table: SampleTable = TABLE, **settings: Any) -> LanguageBalance:
    return LanguageBalance.of(Balance(**settings), INDEX, table, seed=0)


def test_off_by_default_and_then_the_stream_is_as_ever() -> None:
    assert balance() == LanguageBalance()
    plain = training_stream(config(), INDEX)
    assert plain.selection is None and plain.weights is None
    weighted = training_stream(config(by="speaker", loss_temperature=2.0), INDEX)
    assert weighted.selection is None and weighted.weights is not None
    assert weighted.fingerprint == plain.fingerprint, "weights change no batch"


def test_the_cap_holds_in_every_batch_plan_and_the_fingerprint_tells() -> None:
    stream = training_stream(config(by="speaker", cap_seconds=60.0), INDEX)
    for epoch in range(6):
        rows = np.concatenate(stream.batches(epoch)) % UTTERANCES
        for name in ("anna", "bela", "cira"):
            assert TABLE.durations[rows[SPEAKERS[rows] == name]].sum() <= 60.0
    other = training_stream(config(by="speaker", cap_seconds=61.0), INDEX)
    assert len({stream.fingerprint, other.fingerprint, training_stream(config(), INDEX).fingerprint}) == 3
    assert stream.fingerprint == training_stream(config(by="speaker", cap_seconds=60.0), INDEX).fingerprint


def test_a_balance_that_leaves_everything_gives_todays_batches() -> None:
    plain = training_stream(config(), INDEX)
    same = training_stream(config(by="speaker", cap_seconds=1e6), INDEX)
    for epoch in range(3):
        assert [batch.tolist() for batch in same.batches(epoch)] == [batch.tolist() for batch in plain.batches(epoch)]


def test_an_utterance_that_is_repeated_is_played_at_its_own_speed() -> None:
    stream = training_stream(config(by="speaker", temperature=100.0), INDEX)
    items = np.concatenate(stream.batches(0))
    again = items[items >= UTTERANCES]
    assert len(again) > 50
    first, second = stream.samples_of(again % UTTERANCES, 0), stream.samples_of(again, 0)
    assert 0.2 < (first != second).mean() < 0.95
    batch = stream.at(Position(0, 0))
    assert (stream.samples_of(batch, 0) > 0).all() and not batch.flags.writeable


def test_weights_make_a_groups_part_of_the_loss_what_is_asked() -> None:
    found = balance(by="speaker", loss_temperature=2.0)
    assert found.weights is not None
    hours = np.array([TABLE.durations[name == SPEAKERS].sum() for name in ("anna", "bela", "cira")])
    parts = np.array([(found.weights * TABLE.durations)[name == SPEAKERS].sum() for name in ("anna", "bela", "cira")])
    assert parts / parts.sum() == pytest.approx(hours**0.5 / (hours**0.5).sum(), rel=1e-3)
    given = balance(by="speaker", weights={"anna": 0.25})
    assert given.weights is not None and set(given.weights[SPEAKERS == "anna"]) == {0.25}
    assert set(given.weights[SPEAKERS != "anna"]) == {1.0}


def test_a_weight_of_a_group_that_no_language_has_is_an_error() -> None:
    summaries = [balance(by="speaker", weights={"anna": 1.0, "ana": 0.5}).summary]
    with pytest.raises(ConfigError, match=r"no language has the group 'ana'.*shards inspect"):
        check_weights(config(), [each for each in summaries if each])


def test_utterances_without_a_speaker_come_once_and_are_counted() -> None:
    some = table_of(np.where(np.arange(UTTERANCES) % 4 == 0, "", SPEAKERS).astype(STRING))
    index: Any = SimpleNamespace(language="ron", table=lambda split: some)
    found = LanguageBalance.of(Balance(by="speaker", cap_seconds=30.0), index, some, seed=0)
    assert found.selection is not None and found.summary is not None
    assert found.summary.unknown == UTTERANCES // 4
    assert set(np.arange(0, UTTERANCES, 4)) <= set(found.selection.items(5).tolist())
    assert "50 utterances without a speaker come once" in found.summary.line("ron")
    nobody = table_of(np.array([""] * UTTERANCES, dtype=STRING))
    index.table = lambda split: nobody
    nothing = LanguageBalance.of(Balance(by="speaker", cap_seconds=30.0), index, nobody, seed=0)
    assert nothing.selection is not None and len(nothing.selection.items(3)) == UTTERANCES
    (line,) = balance_lines([("ron", nothing.summary), ("ita", None)])
    assert line == "ron: no training utterance has a speaker, so nothing is balanced"


def test_a_summary_says_what_an_epoch_has() -> None:
    summary = balance(by="speaker", cap_seconds=60.0).summary
    assert summary is not None and summary.largest == "anna" and summary.groups == 3
    assert summary.largest_share == pytest.approx(ANNA / TABLE.durations.sum())
    assert summary.epoch_seconds < summary.seconds == pytest.approx(TABLE.durations.sum())
    assert summary.line("ron") == (
        "ron: 3 by speaker; an epoch has 0.05 of 0.14 h; anna has 78% of the audio, the largest group 35% of an epoch"
    )
    assert len(balance_lines((str(number), summary) for number in range(30))) < 12


def test_a_cap_below_every_utterance_is_an_error() -> None:
    with pytest.raises(DataError, match=r"longer than balance\.cap_seconds \(0\.5 s\)"):
        balance(by="speaker", cap_seconds=0.5)


def test_most_hours_are_kept_to_and_more_hours_keep_the_fewer() -> None:
    few, more = (within_hours(TABLE, seconds / HOUR, 0, "ron") for seconds in (60.0, 200.0))
    assert 56 < few.durations.sum() <= 60 and 196 < more.durations.sum() <= 200
    assert set(few.rows) <= set(more.rows) and (np.diff(more.rows) > 0).all()
    assert within_hours(TABLE, 10.0, 0, "ron") is TABLE
    assert set(within_hours(TABLE, 60 / HOUR, 1, "ron").rows) != set(few.rows)
    stream = training_stream(config(max_hours=60 / HOUR), INDEX)
    assert stream.table.rows.tolist() == few.rows.tolist()
