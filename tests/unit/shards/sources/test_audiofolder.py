"""Audiofolders become shards, whatever the format of their metadata and wherever their splits are named."""

import json
import shutil

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.hugging_face import write_audiofolder
from tests.layouts.utterances import build_stored, summary, utterances

SPOKEN = utterances()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_in_folders_of_splits_becomes_shards(kind, tmp_path):
    write_audiofolder(tmp_path / "in", SPOKEN, kind)
    found = build_stored(tmp_path / "in", tmp_path / "out", "--lang", "ron")
    assert summary(found) == summary(SPOKEN)
    assert read_source(tmp_path / "in", language="ron").kind == "audiofolder"


def test_one_metadata_names_recordings_in_folders_of_splits(tmp_path):
    lines = []
    for one in SPOKEN:
        folder = {"train": "train", "dev": "validation", "test": "eval"}[one.split]
        (tmp_path / "ron" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "ron" / folder / "same.flac").write_bytes(one.audio("FLAC"))
        (tmp_path / "ron" / folder / f"{one.number}.flac").write_bytes(one.audio("FLAC"))
        lines.append(json.dumps({"file_name": f"{folder}/{one.number}.flac", "text": one.text, "speaker": one.speaker}))
    (tmp_path / "ron" / "metadata.jsonl").write_text("\n".join(lines))
    found = build_stored(tmp_path / "ron", tmp_path / "out")
    assert summary(found) == summary(SPOKEN)


def test_recordings_of_one_name_in_two_folders_are_both_used(tmp_path):
    for split, number in (("train", 0), ("test", 1)):
        (tmp_path / split).mkdir()
        (tmp_path / split / "0001.flac").write_bytes(SPOKEN[number].audio("FLAC"))
        (tmp_path / split / "metadata.csv").write_text(f"file_name,transcription\n0001.flac,{SPOKEN[number].text}\n")
    rows = read_source(tmp_path, language="ron")
    assert [(row.name, row.split) for row in rows] == [("test/0001.flac", "test"), ("train/0001.flac", "train")]


def test_metadata_without_names_of_files_is_not_one(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "metadata.csv").write_text("LJ001|in being|in being\n")
    (tmp_path / "wavs" / "LJ001.flac").write_bytes(SPOKEN[0].audio("FLAC"))
    assert read_source(tmp_path, language="eng").kind != "audiofolder"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,note\na.flac,x\n", "metadata.csv:1: no column 'text'.*--columns text=COLUMN"),
        ("file_name,text\na.flac\n", "metadata.csv:2: 1 comma-separated field"),
        ("file_name,text\n,unu\n", "metadata.csv:2: 'file_name' is empty"),
        ("file_name,text,split\na.flac,unu,odd\n", "metadata.csv:2: split 'odd' is unknown"),
    ],
)
def test_a_damaged_line_is_named(content, message, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.csv").write_text(content)
    with pytest.raises(SourceError, match=rf"train/{message}"):
        read_source(tmp_path, language="ron")


def test_a_text_column_is_chosen_and_missing_values_are_texts(tmp_path):
    write_audiofolder(tmp_path, SPOKEN, "csv")
    for split in ("validation", "test"):
        shutil.rmtree(tmp_path / split)
    path = tmp_path / "train" / "metadata.csv"
    path.write_text(path.read_text().replace("transcription", "words").replace("null", "NA"))
    rows = read_source(tmp_path, language="ron", columns={"text": "words"})
    assert [row.text for row in rows][-1] == "NA"


def test_metadata_of_coqui_is_a_table_of_the_recordings(tmp_path):
    (tmp_path / "wavs").mkdir()
    for one in SPOKEN[:2]:
        (tmp_path / "wavs" / f"{one.number}.wav").write_bytes(one.audio())
    lines = [f"wavs/{one.number}.wav|{one.text}|{one.speaker}" for one in SPOKEN[:2]]
    (tmp_path / "metadata.csv").write_text("\n".join(["audio_file|text|speaker_name", *lines]))
    rows = list(read_source(tmp_path, language="ron"))
    assert [(row.text, row.speaker) for row in rows] == [(one.text, one.speaker) for one in SPOKEN[:2]]
    assert all(row.audio.check().missing is None for row in rows)
