"""Tars and zip archives that are not on this machine: what is damaged in them is named, with the sample or line."""

import io
import tarfile
import zipfile

import pytest

from shards.errors import SourceError
from shards.sources.data_file import DataFile
from shards.sources.example_reader import Defaults, ExampleReader
from shards.sources.hub_zip import read_hub_zip
from shards.sources.rows import RowError, SourceRow
from shards.sources.source import SourceOptions
from shards.sources.webdataset_examples import WebDatasetExamples
from tests.layouts.hugging_face import add_member
from tests.layouts.utterances import utterances

FLAC = utterances()[0].audio("FLAC")


def tar_of(*members):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in members:
            add_member(tar, name, content)
    return target.getvalue()


def remote(tmp_path, data, name="train.tar"):
    """A file that is opened as one on a server."""
    (tmp_path / name).write_bytes(data)
    return DataFile(f"file://{tmp_path}/{name}", f"owner/name/{name}")


def read(file, columns=None):
    tar = WebDatasetExamples(file)
    found = list(ExampleReader(columns).read(tar, file.path or "", Defaults("ron")))
    return [one for one in found if isinstance(one, SourceRow | RowError)], tar.left_out


def test_samples_have_recordings_in_byte_ranges(tmp_path):
    data = tar_of(
        ("README", b"about"),
        ("a/1.flac", FLAC),
        ("a/1.json", b'{"said": "ana"}'),
        ("a/2.flac", FLAC),
        ("a/2.json", b"{}"),
    )
    rows, left_out = read(remote(tmp_path, data), {"text": "said"})
    assert [row.text for row in rows] == ["ana", ""]
    assert [row.name for row in rows] == ["owner/name/train.tar/000001-1.flac", "owner/name/train.tar/000002-2.flac"]
    assert [drop.where for drop in left_out] == ["owner/name/train.tar:README"]
    source = rows[1].audio.open()
    assert source.at(0, source.size) == FLAC


@pytest.mark.parametrize(
    ("members", "reason", "found"),
    [
        ([("2.json", b'{"text": "ana"}')], "incomplete", "it has no audio member, only json"),
        ([("2.flac", FLAC), ("2.json", b"{")], "broken_text", "its JSON cannot be read"),
        ([("2.flac", FLAC), ("2.json", b'{"text": 3}')], "row_value", "'text' is 3, expected a string"),
        ([("2.shn", FLAC), ("2.json", b'{"text": "ana"}')], "unread_format", ".shn is not read"),
    ],
)
def test_a_sample_that_cannot_be_used_is_named(tmp_path, members, reason, found):
    data = tar_of(("1.flac", FLAC), ("1.json", b'{"text": "ana"}'), *members)
    (row, error), _ = read(remote(tmp_path, data))
    assert row.text == "ana" and isinstance(error, RowError)
    assert error.left_out.drop.reason == reason
    assert f"train.tar:2: {found}" in str(error)


def test_a_tar_that_was_cut_or_is_none_is_an_error(tmp_path):
    data = tar_of(("1.flac", FLAC), ("1.json", b'{"text": "ana"}'), ("2.flac", FLAC), ("2.json", b'{"text": "ana"}'))
    for cut in (data[: len(FLAC) // 2], data[: len(FLAC) + 2000], data.rstrip(b"\0"), data + data, b"<html>"):
        with pytest.raises(SourceError, match=r"train.tar (is damaged|cannot be read)"):
            read(remote(tmp_path, cut))
    with pytest.raises(SourceError, match=r"is not a WebDataset of recordings: its first samples have \.jpg"):
        read(remote(tmp_path, tar_of(("1.jpg", b"x"))))


def test_lines_of_an_archive_are_named_and_its_recordings_found(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("train/metadata.csv", "file_name,text\n1.flac,ana\n2.flac\n3.flac,ana\n")
        archive.writestr("train/1.flac", FLAC)
    file = remote(tmp_path, target.getvalue(), "train.zip")
    found = list(read_hub_zip(file, SourceOptions(), Defaults("ron", "train", source="hf://train.zip")))
    rows = [one for one in found if isinstance(one, SourceRow)]
    (error,) = [one for one in found if isinstance(one, RowError)]
    assert [(row.name, row.split) for row in rows] == [
        (f"owner/name/train.zip/train/{number}.flac", "train") for number in (1, 3)
    ]
    source = rows[0].audio.open()
    assert source.at(0, source.size) == FLAC
    assert rows[0].audio.check().missing is None and rows[1].audio.check().missing is not None
    assert str(error).startswith(f"file://{tmp_path}/train.zip/train/metadata.csv:3: ")
    assert error.left_out.drop.where == "owner/name/train.zip/train/metadata.csv:3"


def test_an_archive_without_metadata_is_an_error(tmp_path):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("1.flac", FLAC)
    for data, message in ((target.getvalue(), "is not an audiofolder"), (b"<html>", "not a zip archive")):
        with pytest.raises(SourceError, match=rf"train.zip is .*{message.removeprefix('is ')}"):
            list(read_hub_zip(remote(tmp_path, data, "train.zip"), SourceOptions(), Defaults("ron")))
