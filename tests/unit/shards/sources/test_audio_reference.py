"""A recording in a part of a file is read as if it were alone, whatever lies around it."""

import pytest

from shards.audio.recording import Recording
from shards.sources.audio_reference import AudioFile, FileRange
from tests.layouts.utterances import utterances

SPOKEN = utterances(train=3, dev=0, test=0)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_neighbours_in_a_file_are_no_part_of_a_recording(kind, tmp_path):
    contents = [one.audio(kind) for one in SPOKEN]
    path = tmp_path / "several"
    path.write_bytes(b"".join(contents))
    start = 0
    for content in contents:
        (tmp_path / "alone").write_bytes(content)
        with Recording(AudioFile(tmp_path / "alone").open()) as alone:
            expected = alone.cut(0.0, None)
        with Recording(FileRange(path, start, len(content)).open()) as found:
            assert found.cut_short is None
            assert (found.cut(0.0, None) == expected).all()
        start += len(content)


def test_a_part_that_is_not_there_is_said(tmp_path):
    assert FileRange(tmp_path / "gone", 0, 10).check().missing == ""
    (tmp_path / "file").write_bytes(b"0123456789")
    assert FileRange(tmp_path / "file", 5, 0).check().empty
    source = FileRange(tmp_path / "file", 4, 100).open()
    assert (source.size, source.at(0, 100), source.find(b"3", 0), source.find(b"67", 1)) == (6, b"456789", -1, 2)
    source.close()
