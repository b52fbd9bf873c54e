"""Recordings are found with their texts and languages, in folders and manifests."""

from pathlib import Path

import pytest

from mms_dist.alignment.inputs import find_items
from mms_dist.alignment.passage import Line
from mms_dist.errors import DataError


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    for name in ("ron/1.mp3", "ron/1.txt", "ron/1.srt", "ita/part/2.wav", "ita/part/2.txt", "ron/lonely.flac"):
        path = tmp_path / "talks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1\n00:00:00,000 --> 00:00:01,000\nuna\n" if name.endswith("srt") else "una", encoding="utf-8")
    return tmp_path / "talks"


def test_folders_name_languages_and_texts_lie_beside_recordings(talks: Path) -> None:
    found = {item.name: item for item in find_items([str(talks)], None)}
    assert [found[name].language for name in ("ron/1.mp3", "ita/part/2.wav")] == ["ron", "ita"]
    assert found["ron/1.mp3"].read_lines() == (Line("una", 0.0, 1.0),), "subtitles come before plain text"
    assert found["ita/part/2.wav"].output_name == "ita/part/2.aligned.jsonl"
    with pytest.raises(DataError, match="no text"):
        found["ron/lonely.flac"].read_lines()
    assert {item.language for item in find_items([str(talks)], "spa")} == {"spa"}


def test_recordings_that_need_pyav_are_found_in_folders(talks: Path) -> None:
    for name in ("ron/3.m4a", "ron/3.txt", "ron/4.webm", "ron/4.txt"):
        (talks / name).write_text("una")
    assert {"ron/3.m4a", "ron/4.webm"} <= {item.name for item in find_items([str(talks)], None)}


def test_rows_of_a_manifest_are_lines_with_rough_times(talks: Path) -> None:
    manifest = talks / "rough.tsv"
    manifest.write_text(
        "audio\ttext\tlang\tstart\tend\tspeaker\n"
        "ron/1.mp3\tuna\tron\t0\t5\tana\nron/1.mp3\tdoi\tron\t5\t9\tana\nita/part/2.wav\tuno\tita\t\t\tugo\n"
    )
    found = {item.language: item for item in find_items([str(manifest)], None)}
    assert found["ron"].read_lines() == (Line("una", 0.0, 5.0), Line("doi", 5.0, 9.0))
    assert found["ron"].speaker == "ana" and found["ita"].read_lines() == (Line("uno"),)


def test_recordings_of_a_manifest_with_one_name_keep_their_folders(talks: Path) -> None:
    manifest = talks / "rough.tsv"
    manifest.write_text("audio\ttext\tlang\nron/1.mp3\tuna\tron\nita/1.mp3\tuno\tita\n../2.mp3\tdoi\tron\n")
    names = {item.output_name for item in find_items([str(manifest)], None)}
    assert names == {"ron/1.aligned.jsonl", "ita/1.aligned.jsonl", "2.aligned.jsonl"}


def test_what_is_missing_is_an_error_with_a_fix(talks: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.wav").touch()
    for place, expected in (
        (tmp_path / "absent", "does not exist"),
        (tmp_path / "none", "empty"),
        (talks / "ron" / "lonely.flac", "no text beside"),
        (tmp_path / "x", "none with a text"),
        (talks / "ron" / "1.mp3", "no language"),
    ):
        with pytest.raises(DataError, match=expected):
            find_items([str(place)], None)
    with pytest.raises(DataError, match="both be written"):
        find_items([str(talks), str(talks)], None)
