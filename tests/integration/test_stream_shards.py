"""From real shards to padded tensors: nothing lost, repeated or moved, whoever reads, however often it restarts."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mms_dist.data.collate import collate
from mms_dist.data.loader import BatchLoader, BatchRequest, LoadedBatch, Utterance
from mms_dist.data.packer import pack
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.data.utterance_id import UtteranceId
from shards.audio.codec import decode
from shards.errors import TruncatedShardError
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.corpus import build_toy_shards

LANGUAGES = ("taa", "tab", "tac")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy_shards(tmp_path_factory.mktemp("stream"), languages=3, train=24, dev=2, shard_utterances=5)


@pytest.fixture
def own_shards(shards: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(shards, tmp_path / "shards"))


class Session:
    """What a process that trains holds: everything is made anew from the shards, nothing is shared."""

    def __init__(self, shards: Path, *, workers: int = 2, languages: tuple[str, ...] = LANGUAGES) -> None:
        index = ShardIndex.load(str(shards))
        self.reader = ShardReader(index)
        self.streams = {
            code: LanguageStream(
                index.language(code).table("train"), language=code, seed=3, batch_seconds=4.0, window_shards=2
            )
            for code in languages
        }
        vocabularies = {code: index.language(code).vocabulary for code in languages}
        self.loader = BatchLoader(self.reader, self.streams, vocabularies, workers=workers)

    def rounds(
        self, positions: dict[str, Position], count: int
    ) -> Iterator[tuple[dict[str, Position], list[LoadedBatch]]]:
        """`count` rounds from `positions`, each with the positions after it, prefetching one ahead."""
        for _ in range(count):
            after = {code: self.streams[code].next(position) for code, position in positions.items()}
            self.loader.prefetch(BatchRequest(code, position) for code, position in after.items())
            yield after, self.loader.take(BatchRequest(code, position) for code, position in positions.items())
            positions = after

    def epoch(self, language: str, epoch: int = 0) -> list[LoadedBatch]:
        batches = range(len(self.streams[language].batches(epoch)))
        return self.loader.take(BatchRequest(language, Position(epoch, batch)) for batch in batches)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.loader.close()
        self.reader.close()


def content(utterance: Utterance) -> tuple:
    return (
        utterance.language,
        utterance.key,
        utterance.epoch,
        utterance.text,
        utterance.frames,
        utterance.audio.tobytes(),
        utterance.labels.tobytes(),
    )


def contents(batches: list[LoadedBatch]) -> list[tuple]:
    return [content(utterance) for batch in batches for utterance in batch.utterances]


def start(languages: tuple[str, ...] = LANGUAGES) -> dict[str, Position]:
    return dict.fromkeys(languages, Position())


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_epoch_holds_every_utterance_of_the_tars_once(shards: Path, epoch: int) -> None:
    with Session(shards) as session:
        utterances = [utterance for batch in session.epoch("taa", epoch) for utterance in batch.utterances]
    read = {utterance.key: utterance for utterance in utterances}
    in_tars = {}
    for path in sorted((shards / "taa").glob("train-*.tar")):
        with tarfile.open(path) as tar:
            in_tars |= {Path(name).stem: tar.extractfile(name).read() for name in tar.getnames() if ".flac" in name}
    assert len(utterances) == len(in_tars) == 24
    assert read.keys() == in_tars.keys()
    assert all(np.array_equal(read[key].audio, decode(flac)) for key, flac in in_tars.items())


def test_a_restart_at_any_round_with_any_workers_goes_on_exactly(shards: Path) -> None:
    with Session(shards, workers=0) as session:
        whole = list(session.rounds(start(), 16))
    assert max(position.epoch for position in whole[-1][0].values()) >= 1
    for stop in (1, 4, 9, 15):
        with Session(shards, workers=stop % 4) as session:
            resumed = list(session.rounds(whole[stop - 1][0], 16 - stop))
        assert [contents(batches) for _, batches in resumed] == [contents(batches) for _, batches in whole[stop:]]


def test_a_language_reads_the_same_alone_as_with_others(shards: Path) -> None:
    with Session(shards) as together, Session(shards, languages=("tab",)) as alone:
        with_others = [batches[1] for _, batches in together.rounds(start(), 8)]
        by_itself = [batches[0] for _, batches in alone.rounds(start(("tab",)), 8)]
    assert contents(with_others) == contents(by_itself)


def test_another_process_plans_the_same_whatever_its_hash_seed(shards: Path) -> None:
    program = """
import sys
from mms_dist.data.stream import LanguageStream
from shards.index import ShardIndex
table = ShardIndex.load(sys.argv[1]).language("tab").table("train")
stream = LanguageStream(table, language="tab", seed=3, batch_seconds=4.0, window_shards=2)
print([rows.tolist() for rows in stream.batches(1)], stream.fingerprint, "torch" in sys.modules)
"""
    there = subprocess.run(
        [sys.executable, "-c", program, str(shards)],
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        check=True,
        capture_output=True,
        text=True,
    )
    with Session(shards) as session:
        stream = session.streams["tab"]
    assert there.stdout.strip() == f"{[rows.tolist() for rows in stream.batches(1)]} {stream.fingerprint} False"


def test_a_flipped_byte_costs_one_named_utterance_and_moves_no_other(own_shards: Path) -> None:
    with Session(own_shards) as session:
        whole = [contents([batch]) for batch in session.epoch("tab")]
        table = session.streams["tab"].table
    tar = own_shards / "tab" / "train-000002.tar"
    victim = int(np.flatnonzero(table.shard == 2)[1])
    data = bytearray(tar.read_bytes())
    data[int(table.offset[victim]) + 700] ^= 1
    tar.write_bytes(data)
    with Session(own_shards) as session:
        hurt = session.epoch("tab")
    damaged = [sample for batch in hurt for sample in batch.damaged]
    assert [(sample.id, sample.key) for sample in damaged] == [
        (UtteranceId("tab", "train", victim), table.keys[victim])
    ]
    assert damaged[0].shard.endswith("train-000002.tar")
    assert "CRC" in damaged[0].reason
    expected = [[item for item in batch if item[1] != table.keys[victim]] for batch in whole]
    assert [contents([batch]) for batch in hurt] == expected


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("cut", ["on a sample boundary", "inside a sample", "whole file"])
def test_a_truncated_shard_is_named_and_never_silently_shortens_the_epoch(
    own_shards: Path, cut: str, workers: int
) -> None:
    tar = own_shards / "tac" / "train-000001.tar"
    with Session(own_shards) as session:
        table = session.streams["tac"].table
        last = int(np.flatnonzero(table.shard == 1)[-1])
    if cut == "whole file":
        tar.unlink()
    else:
        os.truncate(tar, int(table.offset[last]) + (100 if cut == "inside a sample" else 0))
    with Session(own_shards, workers=workers) as session:
        with pytest.raises(TruncatedShardError, match=r"tac.train-000001\.tar"):
            session.epoch("tac")
        assert len(contents(session.epoch("taa"))) == 24


def test_a_round_is_packed_and_collated_with_every_utterance_once(shards: Path) -> None:
    with Session(shards) as session:
        _, batches = next(session.rounds(start(), 1))
    utterances = [utterance for batch in batches for utterance in batch.utterances]
    lengths = [len(utterance.audio) for utterance in utterances]
    groups = pack(lengths, capacity=8 * 16_000)
    assert any(len({utterances[item].language for item in group}) > 1 for group in groups)
    seen = []
    for group in groups:
        chosen = [utterances[item] for item in group]
        batch = collate(chosen, seed=3)
        assert batch.audio_BS.numel() <= 8 * 16_000
        for row, utterance in enumerate(chosen):
            seen.append((utterance.language, utterance.key))
            assert batch.samples_B[row] == len(utterance.audio)
            assert batch.frames_B[row] == utterance.frames
            assert batch.labels_BL[row, : batch.label_lengths_B[row]].tolist() == utterance.labels.tolist()
    assert sorted(seen) == sorted((utterance.language, utterance.key) for utterance in utterances)
