"""Recordings in a compressed tar are copied out of it once, and only if there is room for them."""

import shutil
from collections import namedtuple

import pytest

from shards.errors import SourceError
from shards.sources.archived_audio import ArchivedAudio, copied_recordings
from shards.sources.registry import read_source
from tests.layouts.common_voice import write_common_voice, write_tar
from tests.layouts.utterances import utterances


@pytest.fixture
def recordings(tmp_path):
    folder = write_common_voice(tmp_path / "ro", utterances())
    archive = write_tar(tmp_path / "ro.tar.gz", folder, "ro")
    return [row.audio for row in read_source(archive)]


def test_copies_have_the_bytes_of_the_tar_and_are_made_once(recordings, tmp_path):
    copies = copied_recordings(recordings, tmp_path / "copies")
    for one in recordings:
        content = (tmp_path / one.member).read_bytes()
        for reference in (one, copies[one]):
            source = reference.open()
            assert source.at(0, source.size) == content
            source.close()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "copies").iterdir()}
    assert copied_recordings(recordings[3:], tmp_path / "copies") == {one: copies[one] for one in recordings[3:]}
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "copies").iterdir()} == before
    assert sum(path.stat().st_size for path in before if not path.suffix) == sum(one.size for one in recordings)


def test_copies_of_another_tar_are_made_anew(recordings, tmp_path):
    copied_recordings(recordings[:3], tmp_path / "copies")
    copies = copied_recordings(recordings, tmp_path / "copies")
    assert copies.keys() == set(recordings)


def test_too_little_room_is_said_before_anything_is_copied(recordings, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 100))
    with pytest.raises(SourceError, match=r"ro.tar.gz need 1 MiB below .*copies, which has 1 MiB left; make room, or"):
        copied_recordings(recordings, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []


def test_recordings_that_are_not_in_the_tar_are_missing(recordings):
    assert recordings[0].check().missing is None
    assert ArchivedAudio(recordings[0].archive, "x.mp3", None).check().missing == "it is not in ro.tar.gz"
    assert len({one.stamp() for one in recordings}) == len(recordings)
