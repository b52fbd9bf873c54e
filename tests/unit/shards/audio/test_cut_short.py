"""Recordings are decoded to their end, and compared with what their containers promise."""

import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from launcher.cli import main
from shards.audio.audio_errors import UndecodableError
from shards.audio.codec import decode, facts_of
from shards.audio.containers.byte_source import FileSource, MemorySource
from shards.audio.containers.kind import what_it_is
from shards.audio.recording import Recording
from shards.errors import DamagedSampleError
from shards.flags.measures import Measures
from shards.index import ShardIndex
from shards.index.parts import ShardPart, UtteranceFacts, describe_shard
from shards.read import ShardReader
from tests.recordings import (
    Corpus,
    encode,
    flac_total,
    speechlike,
    without_mp3_header,
    write_tar,
)
from tests.shard_samples import build, sentence
from tests.unit.shards.audio.cut_recordings import (
    CASES,
    OTHER,
    SOUND,
    Kept,
    LeftOut,
    loud_then_quiet,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    cases = {name: data for name, (data, _) in CASES.items()}
    made = Corpus(tmp_path_factory.mktemp("cut"), cases)
    return made, {"built": made.build(), "indexed": made.index()}


@pytest.mark.parametrize("place", ["built", "indexed"])
def test_what_is_whole_is_kept_and_nothing_else(corpus, place):
    made, indexes = corpus
    found = {name: len(audio) / 16_000 for name, audio in made.audio(place).items()}
    expected = {name: case.seconds for name, (_, case) in CASES.items() if isinstance(case, Kept)}
    assert found.keys() == expected.keys()
    # MP3 without a header keeps what its encoder put around the sound; ADPCM fills its last block.
    assert {name: seconds for name, seconds in found.items() if not -0.06 < seconds - expected[name] < 0.12} == {}
    expected_counts = {}
    for _, case in CASES.values():
        if isinstance(case, LeftOut):
            expected_counts[case.reason] = expected_counts.get(case.reason, 0) + 1
    assert {reason: entry["count"] for reason, entry in indexes[place]["drops"].items()} == expected_counts
    unknown = sum(case.counted for _, case in CASES.values() if isinstance(case, Kept))
    assert indexes[place]["length_unknown"]["count"] == unknown


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_is_left_out_says_what_was_found_and_promised(name):
    data, case = CASES[name]
    if isinstance(case, Kept):
        assert facts_of(data).length_unknown == case.counted
    elif case.reason != "too_short":
        with pytest.raises(UndecodableError) as error:
            decode(data)
        assert error.value.reason == case.reason
        assert case.says in str(error.value)


def test_parts_of_joined_recordings_come_one_behind_the_other():
    for container, subtype in (
        ("OGG", "VORBIS"),
        ("MP3", None),
        ("FLAC", "PCM_16"),
        ("WAV", "FLOAT"),
        ("AIFF", "PCM_16"),
    ):
        first, second = (encode(audio, rate, container, subtype) for audio, rate in ((SOUND, 16_000), (OTHER, 24_000)))
        joined = decode(first + second) / 32768
        expected = np.concatenate([SOUND, speechlike(1, 16_000, seed=3)])
        assert len(joined) == len(expected)
        assert np.corrcoef(joined, expected)[0, 1] > 0.995
        with Recording(MemorySource(first + second)) as recording:
            across = recording.cut(1.5, 2.5) / 32768
        assert np.corrcoef(across, expected[24_000:40_000])[0, 1] > 0.99, container


@pytest.mark.parametrize("container", ["MP3", "bare MP3", "OGG", "OGG opus", "FLAC", "WAV", "flac without length"])
def test_segments_of_a_long_recording_are_those_of_the_whole(container, tmp_path):
    audio = np.concatenate([speechlike(1, 16_000, seed=number) for number in range(12)])
    audio += 0.01 * np.random.default_rng(0).standard_normal(len(audio))
    kind = container.split()[-1] if "MP3" in container else container[:4].strip().upper()
    data = encode(audio, 16_000, kind, "OPUS" if "opus" in container else None)
    data = without_mp3_header(data) if container == "bare MP3" else data
    data = flac_total(data, 0) if "without" in container else data
    path = tmp_path / "recording"
    path.write_bytes(data)
    whole = decode(data).astype(np.int32)
    with Recording(path) as recording:
        for start, end in ((0.5, 1.5), (1.5, 2.0), (9.0, 10.0), (3.25, 4.0), (0.0, 0.5), (11.0, None)):
            found = recording.cut(start, end).astype(np.int32)
            expected = whole[round(start * 16_000) : None if end is None else round(end * 16_000)]
            assert len(found) == len(expected)
            assert np.abs(found - expected).max() <= (100 if container == "OGG opus" else 1)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_segments_before_the_cut_of_a_recording_are_kept(container, tmp_path):
    audio = np.concatenate([speechlike(1, 16_000, seed=number) for number in range(10)])
    data = encode(audio, 16_000, container)
    (tmp_path / "long").write_bytes(data[: len(data) // 2])
    spans = [(0, 1), (1, 2), (2, 3), (3, 6), (7, 8), (8, None), (9, 10), (11, 12)]
    lines = [
        {"audio": "long", "text": sentence(number, 3), "lang": "eng", "split": "train", "start": start, "end": end}
        for number, (start, end) in enumerate(spans)
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    drops = build(manifest, tmp_path / "shards").indexes["eng"]["drops"]
    counts = {reason: entry["count"] for reason, entry in drops.items()}
    # What lies behind the end that was promised is no matter of the cut; an Ogg promises none.
    assert counts == ({"cut_short": 5} if container == "OGG" else {"bad_segment": 1, "cut_short": 4})
    index = ShardIndex.load(str(tmp_path / "shards"))
    reader = ShardReader(index)
    found = {}
    for row in range(len(index.language("eng").table("train"))):
        utterance = reader.read("eng", "train", row)
        found[utterance.text] = utterance.audio / 32768
    for number in range(3):
        assert np.corrcoef(found[sentence(number, 3)], speechlike(1, 16_000, seed=number))[0, 1] > 0.99


def test_a_resource_fork_beside_a_recording_does_not_stand_for_it(tmp_path):
    (tmp_path / "clip.mp3").write_bytes(encode(SOUND, 16_000, "MP3"))
    (tmp_path / "._clip.mp3").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    with Recording(tmp_path / "clip.mp3") as recording:
        assert len(recording.all()) == len(SOUND)


def test_an_old_index_of_mp3_without_header_asks_to_be_made_again(tmp_path, monkeypatch):
    corpus = Corpus(tmp_path, {"bare": without_mp3_header(loud_then_quiet())})
    with monkeypatch.context() as patch:
        patch.setattr("shards.foreign.survey_tar.decode", lambda *_, **__: np.arange(30_309, dtype=np.int16))
        corpus.index()
    reader = ShardReader(ShardIndex.load(str(tmp_path / "indexed")))
    with pytest.raises(DamagedSampleError, match=r"its index says 30309 .* index it again with 'mms-dist shards index"):
        reader.read("eng", "train", 0)


def test_a_file_reads_as_its_bytes_in_memory_do(tmp_path):
    data = np.random.default_rng(0).bytes(300_000)
    (tmp_path / "file").write_bytes(data)
    file, memory = FileSource(tmp_path / "file"), MemorySource(data)
    for offset, count in ((0, 10), (5, 70_000), (65_530, 20), (299_990, 100), (10, 4), (400_000, 4)):
        assert file.at(offset, count) == memory.at(offset, count)
    for wanted in (data[200_000:200_008], data[65_535:65_539], b"nowhere in it"):
        assert file.find(wanted, 3) == memory.find(wanted, 3)
    file.close()


FUZZED = [
    encode(speechlike(0.3, 16_000), 16_000, container, subtype)
    for container, subtype in (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "GSM610"),
        ("RF64", "PCM_24"),
        ("W64", "IMA_ADPCM"),
        ("AIFF", "PCM_16"),
        ("AU", "ULAW"),
        ("CAF", "ALAC_16"),
        ("CAF", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
        ("NIST", "PCM_16"),
        ("VOC", "PCM_16"),
        ("AVR", "PCM_16"),
        ("SVX", "PCM_S8"),
        ("MAT5", "DOUBLE"),
    )
]


@settings(max_examples=300, deadline=5_000, derandomize=True)
@given(st.data())
def test_no_damage_gives_anything_but_audio_or_a_reason(data):
    chosen = bytearray(data.draw(st.sampled_from(FUZZED)))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=8)):
        # Most of the damage to the header.
        chosen[(place if place < len(chosen) and place % 4 == 0 else place % 80) % len(chosen)] = value
    chosen = chosen[: data.draw(st.one_of(st.just(len(chosen)), st.integers(0, len(chosen))))]
    damaged = bytes(chosen)
    what_it_is(damaged)
    try:
        facts = facts_of(damaged)
        if facts.rate >= 8_000 and facts.seconds <= 30:
            assert decode(damaged).dtype == np.int16
    except UndecodableError as error:
        assert str(error)


def test_the_commands_say_how_many_recordings_tell_no_length(tmp_path, capsys):
    corpus = Corpus(tmp_path, {"bare": without_mp3_header(loud_then_quiet()), "whole": encode(SOUND, 16_000, "WAV")})
    write_tar(tmp_path / "tars" / "eng" / "train.tar", corpus.recordings, corpus.texts)
    for key, data in corpus.recordings.items():
        (tmp_path / f"{key}.x").write_bytes(data)
    lines = [f"{key}.x\t{text}\teng\ttrain" for key, text in corpus.texts.items()]
    (tmp_path / "m.tsv").write_text("\n".join(["audio\ttext\tlang\tsplit", *lines]) + "\n")
    shards = str(tmp_path / "shards")
    for command in (
        ["build", str(tmp_path / "m.tsv"), shards, "--workers", "1"],
        ["inspect", shards],
        ["index", str(tmp_path / "tars"), "--workers", "1"],
        ["inspect", str(tmp_path / "tars")],
    ):
        assert main(["shards", *command]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "eng: 1 utterance kept from recordings that do not declare their length (for example bare" in said


def test_finished_shards_of_a_build_keep_what_is_known_of_their_lengths(tmp_path):
    write_tar(tmp_path / "train.tar", {"a": b"1", "b": b"2"}, {"a": "unu", "b": "doi"})
    measures = Measures(level_db=-20.0, clipped_share=0.0, speech_seconds=1.0, fingerprint=b"")
    facts = [
        UtteranceFacts(key=key, text=key, samples=16_000, measures=measures, speaker=None, length_unknown=key == "b")
        for key in ("a", "b")
    ]
    part = describe_shard(tmp_path / "train.tar", "train.tar", "train", facts)
    loaded = ShardPart.parse(part.to_json())
    assert (loaded.rows, loaded.length_unknown) == (part.rows, part.length_unknown)
    assert (part.length_unknown, part.select([0], ["a"]).length_unknown) == (["b"], [])
    # One of a build that an earlier version began.
    content = json.loads(part.to_json())
    del content["length_unknown"]
    assert ShardPart.parse(json.dumps(content).encode()).length_unknown == []
