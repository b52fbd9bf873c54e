"""The loader gives exactly what is asked, however it is read."""

import gc
import threading
import time
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mms_dist.data.batch_shard import BatchShard
from mms_dist.data.loader import BatchLoader, BatchRequest, LoadedBatch
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import DataError
from shards.errors import DamagedSampleError, TruncatedShardError

LANGUAGES = ("ita", "ron", "ukr")


class Table(SimpleNamespace):
    """The columns of a sample table that streams and the loader use."""

    def __len__(self) -> int:
        return len(self.rows)


def table(language: str, utterances: int = 60) -> Table:
    samples = np.random.default_rng(LANGUAGES.index(language)).integers(1_600, 16_000, utterances).astype(np.int32)
    return Table(
        rows=np.arange(utterances),
        keys=np.array([f"{language}-{row}" for row in range(utterances)]),
        shard=np.arange(utterances, dtype=np.int32) // 20,
        samples=samples,
        frames=samples // 320,
        durations=samples / 16_000,
    )


class Reader:
    """Makes an utterance from its row alone, and fails where it is told to."""

    def __init__(self) -> None:
        self.tables = {code: table(code) for code in LANGUAGES}
        self.reads: list[tuple[str, int]] = []
        self.failures: dict[tuple[str, int], Exception] = {}
        self.gate = threading.Event()
        self.gate.set()

    def read(self, language: str, split: str, row: int, *, allocate: Callable[[int], np.ndarray]) -> SimpleNamespace:
        assert self.gate.wait(timeout=10)
        self.reads.append((language, row))
        if (language, row) in self.failures:
            raise self.failures[language, row]
        audio = allocate(self.tables[language].samples[row])
        audio[:] = row
        return SimpleNamespace(language=language, key=f"{language}-{row}", audio=audio, text=f"{split} {row}", info={})


class Vocabulary:
    """Codepoints as labels."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def streams(reader: Reader) -> dict[str, LanguageStream]:
    return {
        code: LanguageStream(reader.tables[code], language=code, seed=0, batch_seconds=5.0, window_shards=2)
        for code in LANGUAGES
    }


def loader(reader: Reader, *, workers: int = 2, **changes: int) -> BatchLoader:
    vocabularies = dict.fromkeys(LANGUAGES, Vocabulary())
    return BatchLoader(reader, streams(reader), vocabularies, workers=workers, **changes)  # type: ignore[arg-type]


def request(language: str, epoch: int = 0, batch: int = 0) -> BatchRequest:
    return BatchRequest(language, Position(epoch, batch))


def rounds(reader: Reader, count: int, languages: tuple[str, ...] = LANGUAGES) -> list[list[BatchRequest]]:
    """The requests of successive rounds, across epochs."""
    served = streams(reader)
    positions = dict.fromkeys(languages, Position())
    planned = []
    for _ in range(count):
        planned.append([BatchRequest(code, positions[code]) for code in languages])
        positions = {code: served[code].next(positions[code]) for code in languages}
    return planned


def content(batches: list[LoadedBatch]) -> list[tuple]:
    return [
        (
            item.language,
            item.key,
            item.epoch,
            item.id.row,
            item.text,
            item.frames,
            item.audio.tobytes(),
            item.labels.tolist(),
        )
        for batch in batches
        for item in batch.utterances
    ]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_workers_and_prefetching_change_no_sample(data: st.DataObject) -> None:
    reader = Reader()
    planned = rounds(reader, 8)
    with loader(reader, workers=0) as synchronous:
        expected = [content(synchronous.take(requests)) for requests in planned]
    anything = st.builds(request, st.sampled_from(LANGUAGES), st.integers(0, 1), st.integers(0, 3))
    limit = data.draw(st.sampled_from([0, 300_000, 1 << 30]))
    with loader(reader, workers=data.draw(st.integers(1, 4)), prefetch_bytes=limit) as threaded:
        for number, requests in enumerate(planned):
            ahead = data.draw(st.integers(0, 3))
            threaded.prefetch([r for later in planned[number : number + ahead] for r in later])
            threaded.prefetch(data.draw(st.lists(anything, max_size=3)))
            assert content(threaded.take(requests)) == expected[number]


def test_an_epoch_taken_batch_by_batch_holds_every_utterance_once() -> None:
    reader = Reader()
    with loader(reader) as batches:
        count = len(streams(reader)["ron"].batches(0))
        taken = batches.take([request("ron", 0, batch) for batch in range(count)])
    rows = [item.id.row for batch in taken for item in batch.utterances]
    assert sorted(rows) == list(range(60))
    assert [len(batch.utterances) for batch in taken] == [len(rows) for rows in streams(reader)["ron"].batches(0)]


def test_a_selected_table_is_read_at_the_rows_of_the_whole_split() -> None:
    reader = Reader()
    every_third = np.arange(0, 60, 3)
    columns = {name: column[every_third] for name, column in vars(reader.tables["ron"]).items()}
    selected = LanguageStream(Table(**columns), language="ron", seed=0, batch_seconds=1e6, window_shards=1)
    with loader(reader) as batches:
        batches.add(selected, Vocabulary())  # type: ignore[arg-type]
        utterances = batches.take([request("ron")])[0].utterances
        reader.failures["ron", 30] = DamagedSampleError("ron", "ron-30", "train-000001.tar", "CRC differs")
        (damaged,) = batches.take([request("ron")])[0].damaged
    assert damaged.id == UtteranceId("ron", "train", 30)
    assert sorted(item.id.row for item in utterances) == every_third.tolist()
    assert all(item.frames == reader.tables["ron"].frames[item.id.row] for item in utterances)
    assert all(item.key == reader.tables["ron"].keys[item.id.row] for item in utterances)


def test_a_shared_language_reads_its_shard_and_counts_the_whole_batch() -> None:
    reader = Reader()
    stream = streams(reader)["ron"]
    whole = stream.at(Position(0, 1)).tolist()
    parts = []
    for index in range(3):
        with loader(reader) as batches:
            batches.add(stream, Vocabulary(), BatchShard(index, 3))  # type: ignore[arg-type]
            batches.prefetch([request("ron", 0, 1)])
            (part,) = batches.take([request("ron", 0, 1)])
        assert part.planned == part.size == len(whole) > len(part.utterances)
        parts.append([item.id.row for item in part.utterances])
    assert [sorted(part) for part in parts] == [
        sorted(BatchShard(i, 3).take(np.array(whole)).tolist()) for i in range(3)
    ]
    assert sorted(row for part in parts for row in part) == sorted(whole)


def test_labels_are_the_encoded_transcript() -> None:
    with loader(Reader()) as batches:
        first = batches.take([request("ron")])[0].utterances[0]
    assert first.labels.tolist() == [ord(character) for character in first.text]
    assert first.labels.dtype == np.int32


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_sample_is_named_and_left_out_and_nothing_else_moves(workers: int) -> None:
    reader = Reader()
    with loader(reader, workers=workers) as batches:
        whole = batches.take(rounds(reader, 1)[0])
        row = whole[1].utterances[2].id.row
        reader.failures["ron", row] = DamagedSampleError("ron", f"ron-{row}", "train-000001.tar", "CRC differs")
        hurt = batches.take(rounds(reader, 1)[0])
    damaged = [named for batch in hurt for named in batch.damaged]
    assert [(d.id, d.key, d.shard, d.reason) for d in damaged] == [
        (UtteranceId("ron", "train", row), f"ron-{row}", "train-000001.tar", "CRC differs")
    ]
    assert hurt[1].damaged == damaged
    assert content(hurt) == [item for item in content(whole) if item[:1] + item[3:4] != ("ron", row)]


def test_a_batch_of_damaged_samples_alone_is_an_empty_batch() -> None:
    reader = Reader()
    for row in range(60):
        reader.failures["ron", row] = DamagedSampleError("ron", f"ron-{row}", "train-000000.tar", "not FLAC")
    with loader(reader) as batches:
        batch = batches.take([request("ron")])[0]
    assert not batch.utterances
    assert len(batch.damaged) == len(streams(reader)["ron"].batches(0)[0])


@pytest.mark.parametrize("prefetched", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_shard_stops_the_batch_that_needs_it_and_no_other(workers: int, prefetched: bool) -> None:
    reader = Reader()
    row = int(streams(reader)["ron"].batches(0)[0][-1])
    reader.failures["ron", row] = TruncatedShardError(
        "train-000000.tar", bytes_found=1, bytes_expected=2, fix="copy it"
    )
    with loader(reader, workers=workers) as batches:
        if prefetched:
            batches.prefetch([request("ron"), request("ita")])
        assert batches.take([request("ita")])[0].utterances
        with pytest.raises(TruncatedShardError, match=r"train-000000\.tar") as raised:
            batches.take([request("ita"), request("ron"), request("ukr")])
        assert f"utterance ron-{row}" in raised.value.__notes__[0]
        assert batches.take([request("ita")])[0].utterances


def test_an_input_output_error_names_language_shard_and_utterance() -> None:
    reader = Reader()
    row = int(streams(reader)["ron"].batches(0)[0][0])
    reader.failures["ron", row] = OSError(5, "Input/output error")
    with loader(reader) as batches, pytest.raises(DataError, match=rf"ron: utterance ron-{row} of train shard \d"):
        batches.take([request("ron")])


def test_a_language_that_is_not_served_is_named() -> None:
    with loader(Reader()) as batches, pytest.raises(DataError, match="'deu', only ita, ron, ukr"):
        batches.take([request("deu")])


def test_what_is_prefetched_is_read_once_and_before_it_is_taken() -> None:
    reader = Reader()
    with loader(reader) as batches:
        batches.prefetch([request("ron"), request("ron", 0, 1)])
        batches.prefetch([request("ron")])
        expected = sum(len(rows) for rows in streams(reader)["ron"].batches(0)[:2])
        deadline = time.monotonic() + 10
        while len(reader.reads) < expected and time.monotonic() < deadline:
            time.sleep(0.005)
        batches.take([request("ron"), request("ron", 0, 1)])
        assert len(reader.reads) == len(set(reader.reads)) == expected


def test_prefetching_holds_no_more_than_its_limit_and_never_blocks() -> None:
    reader = Reader()
    reader.gate.clear()
    with loader(reader, prefetch_bytes=400_000) as batches:
        batches.prefetch([r for requests in rounds(reader, 6) for r in requests])
        assert 0 < batches.pending_bytes <= 400_000
        reader.gate.set()


def test_taken_audio_is_not_kept() -> None:
    reader = Reader()
    with loader(reader) as batches:
        batches.prefetch(rounds(reader, 1)[0])
        taken = batches.take(rounds(reader, 1)[0])
        assert batches.pending_bytes == 0
        audio = [weakref.ref(item.audio) for batch in taken for item in batch.utterances]
        del taken
        deadline = time.monotonic() + 10  # a worker drops its last result when it has returned
        while any(ref() is not None for ref in audio) and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.005)
        assert not any(ref() is not None for ref in audio)


def test_hints_that_did_not_come_true_are_forgotten_once_passed() -> None:
    reader = Reader()
    with loader(reader) as batches:
        batches.prefetch([request("ron", 0, batch) for batch in range(3)])
        batches.take([request("ron", 0, 2)])
        assert batches.pending_bytes == 0


def test_a_removed_language_can_come_back_with_another_plan() -> None:
    reader = Reader()
    with loader(reader) as batches:
        batches.prefetch([request("ron")])
        batches.remove("ron")
        assert batches.pending_bytes == 0
        with pytest.raises(DataError, match="only ita, ukr"):
            batches.take([request("ron")])
        other = LanguageStream(reader.tables["ron"], language="ron", seed=1, batch_seconds=5.0, window_shards=2)
        batches.add(other, Vocabulary())  # type: ignore[arg-type]
        rows = [item.id.row for item in batches.take([request("ron")])[0].utterances]
    assert rows == other.at(Position()).tolist()


def test_a_new_plan_does_not_get_what_the_old_one_prefetched() -> None:
    reader = Reader()
    other = LanguageStream(reader.tables["ron"], language="ron", seed=1, batch_seconds=5.0, window_shards=2)
    with loader(reader) as batches:
        batches.prefetch([request("ron")])
        batches.add(other, Vocabulary())  # type: ignore[arg-type]
        rows = [item.id.row for item in batches.take([request("ron")])[0].utterances]
    assert rows == other.at(Position()).tolist()


def test_prefetching_reads_first_what_is_needed_first() -> None:
    reader = Reader()
    planned = rounds(reader, 4)
    with loader(reader, workers=1) as batches:
        batches.prefetch([r for requests in planned for r in requests])
        for requests in planned:
            batches.take(requests)
    served = streams(reader)
    soonest = [
        (r.language, int(row)) for requests in planned for r in requests for row in served[r.language].at(r.position)
    ]
    assert reader.reads == soonest


def test_what_is_asked_for_overtakes_what_is_prefetched() -> None:
    reader = Reader()
    reader.gate.clear()
    with loader(reader, workers=1) as batches:
        batches.prefetch([r for requests in rounds(reader, 5, ("ita", "ukr")) for r in requests])
        threading.Timer(0.1, reader.gate.set).start()
        batches.take([request("ron")])
        first = next(number for number, (language, _) in enumerate(reader.reads) if language == "ron")
        assert first <= 8  # the piece of work that had begun


def test_waiting_is_counted() -> None:
    reader = Reader()
    reader.gate.clear()
    with loader(reader) as batches:
        threading.Timer(0.2, reader.gate.set).start()
        batches.take([request("ron")])
        assert 0.15 < batches.wait_seconds < 5


@pytest.mark.parametrize("taken", [False, True])
def test_closing_leaves_no_thread_and_does_not_wait_for_planned_reads(taken: bool) -> None:
    reader = Reader()
    before = set(threading.enumerate())
    batches = loader(reader, workers=3)
    if taken:
        batches.take([request("ron")])
    reads = len(reader.reads)
    reader.gate.clear()
    batches.prefetch([r for requests in rounds(reader, 6) for r in requests])
    threading.Timer(0.1, reader.gate.set).start()
    batches.close()
    assert not [t for t in threading.enumerate() if t not in before and not isinstance(t, threading.Timer)]
    assert len(reader.reads) - reads <= 3 * 8
    batches.close()
