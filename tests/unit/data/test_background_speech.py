"""Speech that is mixed into an utterance is of others, and depends on the split alone."""

from pathlib import Path

import numpy as np
import pytest

from mms_dist.conditions.condition import level_of
from mms_dist.data import background_speech
from mms_dist.data.background_speech import BackgroundSpeech
from mms_dist.errors import DataError
from shards.errors import DamagedSampleError
from shards.index import ShardIndex
from shards.read import RawUtterance, ShardReader
from shards.schema import SAMPLE_RATE
from tests.corpus import build_toy_shards
from tests.shard_samples import build, write_corpus

SAMPLES = 20_000


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardIndex:
    return ShardIndex.load(str(build_toy_shards(tmp_path_factory.mktemp("speech"), languages=1, train=9, dev=1)))


class Reader(ShardReader):
    """Counts what is read; the utterances in `damaged` cannot be, and each is one value all over: its row + 1."""

    def __init__(self, index: ShardIndex, damaged: tuple[int, ...] = ()) -> None:
        super().__init__(index)
        self.damaged = damaged
        self.rows: list[int] = []

    def read(self, language: str, split: str, row: int, **options: object) -> RawUtterance:
        self.rows.append(row)
        if row in self.damaged:
            raise DamagedSampleError(language, "key", "shard", "CRC", row)
        audio_S = np.full(3_000, 100 * (row + 1), np.int16)
        audio_S[: row + 2] *= -1  # the level of all is the same after normalisation; this mark remains
        return RawUtterance(language, "key", audio_S, "", {})


def speech(index: ShardIndex, reader: Reader | None = None) -> BackgroundSpeech:
    return BackgroundSpeech(reader or Reader(index), index.language("taa"), "train")


def drawn(found: BackgroundSpeech, row: int, key: int = 3) -> np.ndarray:
    return found.besides(row, SAMPLES, np.random.Generator(np.random.Philox(key=key)))


def marks(speech_S: np.ndarray) -> set[int]:
    """The rows of the whole utterances in it, by their marks."""
    ends = np.flatnonzero(np.diff(np.sign(speech_S)))
    starts, lasts = ends[:-1][speech_S[ends[:-1]] > 0], ends[1:][speech_S[ends[1:]] < 0]
    return {int(last - start) - 2 for start, last in zip(starts, lasts, strict=False)}


def test_an_utterance_is_never_mixed_into_itself(shards: ShardIndex) -> None:
    found = speech(shards)
    for row in range(9):
        heard = set.union(*(marks(drawn(found, row, key)) for key in range(8)))
        assert heard <= set(range(9)) - {row} and len(heard) > 3


def test_it_has_level_1_and_is_the_same_whatever_was_asked_before(shards: ShardIndex) -> None:
    found = speech(shards)
    first = drawn(found, 4)
    for row in (0, 8, 2):
        drawn(found, row, key=11)
    assert np.array_equal(first, drawn(found, 4)) and np.array_equal(first, drawn(speech(shards), 4))
    assert len(first) == SAMPLES and level_of(first) == pytest.approx(1, abs=1e-5)


def test_each_utterance_is_read_once_and_only_when_needed(shards: ShardIndex) -> None:
    reader = Reader(shards)
    found = speech(shards, reader)
    assert reader.rows == []
    for key in range(5):
        drawn(found, 0, key)
    assert len(reader.rows) == len(set(reader.rows)) and 0 not in reader.rows


def test_what_cannot_be_read_is_left_out(shards: ShardIndex) -> None:
    found = speech(shards, Reader(shards, damaged=(0, 1, 2, 3)))
    assert set.union(*(marks(drawn(found, 8, key)) for key in range(6))) <= {4, 5, 6, 7}
    with pytest.raises(DataError, match="none of the train utterances of taa that are mixed into others can be read"):
        drawn(speech(shards, Reader(shards, damaged=tuple(range(1, 9)))), 0)


def test_a_split_of_one_utterance_has_no_background(shards: ShardIndex) -> None:
    with pytest.raises(DataError, match="taa has 1 dev utterance, and no other one to mix into it"):
        BackgroundSpeech(Reader(shards), shards.language("taa"), "dev")


def test_a_large_split_is_held_in_part(shards: ShardIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_speech, "POOL_SECONDS", 3000 / SAMPLE_RATE)
    reader = Reader(shards)
    found = speech(shards, reader)
    for row in range(9):
        drawn(found, row)
    assert len(set(reader.rows)) == 2


def test_another_speaker_is_preferred(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", languages=("ron",), utterances=12)
    build(corpus, tmp_path / "shards", shard_utterances=12)
    index = ShardIndex.load(str(tmp_path / "shards")).language("ron")
    table = index.table("train")
    speakers = table.speaker.tolist()
    assert len(set(speakers)) > 1
    reader = Reader(ShardIndex.load(str(tmp_path / "shards")))
    found = BackgroundSpeech(reader, index, "train")
    row = 0
    for key in range(6):
        drawn(found, row, key)
    assert speakers[row] not in {speakers[other] for other in reader.rows}
