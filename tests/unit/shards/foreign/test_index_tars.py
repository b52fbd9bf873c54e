"""Tars made elsewhere are read where they lie, whatever their audio, rate and place of the text."""

import io
import json
import tarfile

import fsspec
import numpy as np
import pytest
import soundfile

from shards.errors import SourceError
from shards.foreign.find_tars import ForeignTar, find_tars, split_of
from shards.foreign.index_tars import IndexOptions, index_language
from shards.index import ShardIndex
from shards.process_pool import WorkerPool
from shards.read import ShardReader
from shards.text_rules import load_rules
from shards.verify import verify_shards
from tests.shard_samples import build, sentence, sound, tree_sums, write_corpus


def encoded(seconds, *, rate, container, subtype=None, seed=0):
    target = io.BytesIO()
    soundfile.write(target, sound(seconds, rate=rate, seed=seed), rate, format=container, subtype=subtype)
    return target.getvalue()


def write_tar(path, samples, *, tar_format=tarfile.GNU_FORMAT):
    """`samples`: key to extension to bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tar_format) as archive:
        for key, members in samples.items():
            for extension, data in members.items():
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def index_of(root, code="ron", **options):
    tars = find_tars(root, [], languages=[], split=None, reindex=False).languages[code]
    options = IndexOptions(load_rules(code), **options)
    return index_language(root / code, code, tars, options, pool=WorkerPool(1), advance=lambda: None)


def texts_of(root, split="train"):
    index = ShardIndex.load(str(root))
    reader = ShardReader(index)
    return [reader.read("ron", split, row).text for row in range(len(index.language("ron").table(split)))]


@pytest.mark.parametrize(
    ("extension", "container", "subtype", "rate"),
    [
        ("wav", "WAV", "PCM_16", 16_000),
        ("wav", "WAV", "FLOAT", 44_100),
        ("flac", "FLAC", "PCM_24", 48_000),
        ("mp3", "MP3", None, 44_100),
        ("ogg", "OGG", "VORBIS", 22_050),
        ("opus", "OGG", "OPUS", 48_000),
    ],
)
def test_audio_of_every_format_is_16_khz_when_read(extension, container, subtype, rate, tmp_path):
    samples = {
        f"s{number}": {
            extension: encoded(1 + number / 4, rate=rate, container=container, subtype=subtype, seed=number),
            "json": json.dumps({"sentence": sentence(number)}).encode(),
        }
        for number in range(4)
    }
    write_tar(tmp_path / "ron" / "train-0.tar", samples)
    index_of(tmp_path)
    reader = ShardReader(ShardIndex.load(str(tmp_path)))
    for number in range(4):
        utterance = reader.read("ron", "train", number)
        original = sound(1 + number / 4, rate=16_000, seed=number)
        assert utterance.audio.dtype == np.int16
        assert abs(len(utterance.audio) - len(original)) < 1_200  # MP3 pads
        assert utterance.text == sentence(number)
    (found,) = verify_shards(str(tmp_path), None, workers=1, advance=lambda _: None)
    assert found.problems == []


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_are_read_in_every_tar_format(tar_format, tmp_path):
    audio = encoded(1, rate=16_000, container="WAV")
    keys = ["short", "clips/" + "n" * 80, *([] if tar_format == tarfile.USTAR_FORMAT else ["f" * 150, "țară/glas"])]
    samples = {key: {"wav": audio, "txt": sentence(number).encode()} for number, key in enumerate(keys)}
    write_tar(tmp_path / "ron" / "train.tar", samples, tar_format=tar_format)
    index_of(tmp_path)
    assert ShardIndex.load(str(tmp_path)).language("ron").table("train").keys.tolist() == keys
    assert texts_of(tmp_path) == [sentence(number) for number in range(len(keys))]


def test_text_is_normalised_when_read_unless_it_is_to_be_kept(tmp_path):
    samples = {"a": {"wav": encoded(1, rate=16_000, container="WAV"), "txt": "Bună, ZIUA!\n".encode()}}
    write_tar(tmp_path / "ron" / "train.tar", samples)
    index_of(tmp_path)
    assert texts_of(tmp_path) == ["bună ziua"]
    (tmp_path / "ron" / "index.json").unlink()
    index_of(tmp_path, normalise=False)
    assert texts_of(tmp_path) == ["Bună, ZIUA!"]


def test_unusable_samples_are_left_out_and_counted_and_shift_no_other(tmp_path):
    good = encoded(1, rate=16_000, container="WAV")
    samples = {
        "a": {"wav": good, "txt": b"unu"},
        "b": {"wav": b"no sound", "txt": b"doi"},
        "c": {"txt": b"trei"},
        "d": {"wav": good},
        "e": {"wav": good, "txt": b"rock & roll"},
        "f": {"wav": encoded(0.1, rate=16_000, container="WAV"), "txt": b"cinci"},
        "g": {"wav": good, "txt": "șase".encode()},
    }
    write_tar(tmp_path / "ron" / "train.tar", samples)
    index = index_of(tmp_path)
    counts = {reason: entry["count"] for reason, entry in index["drops"].items()}
    assert counts == {"incomplete": 2, "unsupported_characters": 1, "undecodable": 1, "too_short": 1}
    assert texts_of(tmp_path) == ["unu", "șase"]


def test_recordings_below_the_rate_of_a_build_are_left_out_as_in_a_build(tmp_path):
    recordings = {"rar": 6_000, "abia": 7_999, "destul": 8_000, "bun": 16_000}
    samples = {
        text: {"wav": encoded(1, rate=rate, container="WAV"), "txt": text.encode()} for text, rate in recordings.items()
    }
    write_tar(tmp_path / "foreign" / "ron" / "train.tar", samples)
    drops = index_of(tmp_path / "foreign")["drops"]
    assert drops == {
        "sample_rate": {
            "count": 2,
            "examples": [
                f"train.tar:{text}: {recordings[text]} Hz, expected at least 8000 Hz" for text in ("rar", "abia")
            ],
        }
    }
    assert texts_of(tmp_path / "foreign") == ["destul", "bun"]
    manifest = tmp_path / "corpus.tsv"
    lines = [f"{text}.wav\t{text}\tron\ttrain" for text in recordings]
    manifest.write_text("\n".join(["audio\ttext\tlang\tsplit", *lines]))
    for text, members in samples.items():
        (tmp_path / f"{text}.wav").write_bytes(members["wav"])
    built = build(manifest, tmp_path / "built").indexes["ron"]["drops"]
    assert {reason: entry["count"] for reason, entry in built.items()} == {"sample_rate": 2}
    details = [{example.split(": ")[-1] for example in found["sample_rate"]["examples"]} for found in (built, drops)]
    assert details[0] == details[1]


def test_a_sentence_of_dev_is_left_out_of_train(tmp_path):
    good = encoded(1, rate=16_000, container="WAV")
    write_tar(tmp_path / "ron" / "train.tar", {"a": {"wav": good, "txt": b"unu"}, "b": {"wav": good, "txt": b"doi"}})
    write_tar(tmp_path / "ron" / "validation.tar", {"c": {"wav": good, "txt": b"Doi!"}})
    index = index_of(tmp_path)
    assert index["drops"]["text_in_other_split"]["count"] == 1
    assert (texts_of(tmp_path), texts_of(tmp_path, "dev")) == (["unu"], ["doi"])
    assert set(index["splits"]["train"]["shards"][0].items()) >= {("samples", 1), ("seconds", 1.0)}


def test_our_own_tars_indexed_again_give_the_same_table_and_vocabulary(tmp_path):
    build(write_corpus(tmp_path / "corpus"), tmp_path / "shards")
    before = tree_sums(tmp_path / "shards")
    (tmp_path / "shards" / "ron" / "index.json").unlink()
    index_of(tmp_path / "shards")
    after = tree_sums(tmp_path / "shards")
    assert {name for name in before if before[name] != after[name]} == {"ron/index.json"}


def test_tars_elsewhere_are_indexed_and_read_by_url_pipe_and_path(tmp_path):
    good = encoded(1, rate=16_000, container="WAV")
    names = [f"/elsewhere/part-{number}.tar" for number in range(2)]
    system = fsspec.filesystem("memory")
    local = [tmp_path / "store" / f"{number}.tar" for number in range(4)]
    for number, path in enumerate(local):
        write_tar(path, {f"s{number}": {"wav": good, "txt": sentence(number).encode()}})
    for path, name in zip(local, names, strict=False):
        system.put(str(path), name)
    given = ["memory://elsewhere/part-{0..1}.tar", f"pipe:cat {local[2]}", str(local[3])]
    tars = find_tars(tmp_path / "shards", given, languages=["ron"], split="train", reindex=False).languages["ron"]
    folder = tmp_path / "shards" / "ron"
    index_language(folder, "ron", tars, IndexOptions(load_rules("ron")), pool=WorkerPool(1), advance=lambda: None)
    assert texts_of(tmp_path / "shards") == [sentence(number) for number in range(4)]
    (found,) = verify_shards(str(tmp_path / "shards"), None, workers=1, advance=lambda _: None)
    assert found.problems == []
    system.rm("/elsewhere", recursive=True)


@pytest.mark.parametrize(
    ("name", "split"),
    [("train-000.tar", "train"), ("ron_dev_3.tar", "dev"), ("val.tar", "dev"), ("s3://b/ron/TEST-01.tar", "test")],
)
def test_the_split_is_told_by_the_name(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize("name", ["shard-000.tar", "train-test.tar", "trainer.tar"])
def test_a_name_that_tells_no_single_split_asks_for_one(name):
    with pytest.raises(SourceError, match="pass --split"):
        split_of(name)


def test_a_transcript_that_can_not_be_found_lists_what_is_there(tmp_path):
    members = {"wav": encoded(1, rate=16_000, container="WAV"), "json": b'{"phrase": "unu"}'}
    write_tar(tmp_path / "ron" / "train.tar", {"a": members})
    with pytest.raises(SourceError, match=r"its members are wav, json, its JSON has phrase; name the field"):
        index_of(tmp_path)
    assert index_of(tmp_path, text_field="phrase")["splits"]["train"]["samples"] == 1


def test_a_language_without_training_tars_is_refused_and_gets_no_index(tmp_path):
    write_tar(tmp_path / "ron" / "dev.tar", {"a": {"wav": encoded(1, rate=16_000, container="WAV"), "txt": b"unu"}})
    with pytest.raises(SourceError, match="no training utterances left in ron"):
        index_of(tmp_path)
    assert not (tmp_path / "ron" / "index.json").exists()


def test_what_has_an_index_is_left_alone_unless_asked(tmp_path):
    write_tar(tmp_path / "ron" / "train.tar", {"a": {"wav": encoded(1, rate=16_000, container="WAV"), "txt": b"unu"}})
    index_of(tmp_path)
    assert find_tars(tmp_path, [], languages=[], split=None, reindex=False).languages == {}
    again = find_tars(tmp_path, [], languages=[], split=None, reindex=True)
    assert again.languages == {"ron": [ForeignTar("train.tar", str(tmp_path / "ron" / "train.tar"), "train")]}
    for arguments, message in (
        ({"given": ["x.tar"], "languages": []}, "expected one; pass the language of the tars with --lang"),
        ({"given": [], "languages": ["ita"]}, "no tars in"),
    ):
        with pytest.raises(SourceError, match=message):
            find_tars(tmp_path, split=None, reindex=False, **arguments)
