"""Folders that save_to_disk wrote become shards, and their recordings stay where they are until they are decoded."""

import json

import pytest

from shards.errors import SourceError
from shards.sources.audio_reference import FileRange
from shards.sources.registry import read_source
from tests.layouts.hugging_face import dataset, save_to_disk
from tests.layouts.utterances import build_stored, summary, utterances

SPOKEN = utterances()


def test_a_dictionary_of_splits_becomes_shards(tmp_path):
    save_to_disk(tmp_path / "in", SPOKEN)
    found = build_stored(tmp_path / "in", tmp_path / "out", "--lang", "ro")
    assert summary(found) == summary(SPOKEN)
    assert {(one.speaker, one.tags["gender"]) for one in found} == {(one.speaker, one.gender) for one in SPOKEN}
    lengths = {one.text: 0.5 + one.number % 5 / 10 for one in SPOKEN}
    assert all(abs(one.seconds - lengths[one.text]) < 0.001 for one in found)


def test_one_dataset_has_no_splits_and_its_recordings_are_byte_ranges(tmp_path):
    dataset(SPOKEN).save_to_disk(tmp_path / "ron", num_shards=3)
    rows = read_source(tmp_path / "ron")
    assert (rows.kind, {row.split for row in rows}) == ("save_to_disk", {None})
    assert [row.text for row in rows] == [one.text for one in SPOKEN]
    for row, one in zip(rows, SPOKEN, strict=True):
        assert isinstance(row.audio, FileRange)
        source = row.audio.open()
        assert source.at(0, source.size) == one.audio("FLAC")
        source.close()


def test_a_selection_of_rows_is_saved_as_such(tmp_path):
    dataset(SPOKEN).select([3, 1]).save_to_disk(tmp_path / "in")
    rows = read_source(tmp_path / "in", language="ron")
    assert [row.text for row in rows] == [SPOKEN[3].text, SPOKEN[1].text]
    source = list(rows)[1].audio.open()
    assert source.at(0, source.size) == SPOKEN[1].audio("FLAC")
    source.close()


def test_damaged_folders_are_named(tmp_path):
    save_to_disk(tmp_path, SPOKEN, shards=1)
    data = tmp_path / "train" / "data-00000-of-00001.arrow"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"data-00000-of-00001.arrow .* after row 0: "):
        read_source(tmp_path, language="ron")
    data.write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 100\n")
    with pytest.raises(SourceError, match="is a Git LFS pointer"):
        read_source(tmp_path, language="ron")
    data.unlink()
    with pytest.raises(SourceError, match=r"data-00000-of-00001.arrow cannot be read: No such file"):
        read_source(tmp_path, language="ron")
    (tmp_path / "train" / "state.json").write_text(json.dumps({}))
    with pytest.raises(SourceError, match=r"state.json is damaged: no list '_data_files'; save the dataset again"):
        read_source(tmp_path, language="ron")
