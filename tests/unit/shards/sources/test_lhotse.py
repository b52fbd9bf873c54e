"""Manifests of Lhotse become shards, whichever kind they are, and what is no plain recording is refused."""

import pytest

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.lhotse import recording, supervision, write_cuts, write_lhotse, write_lines
from tests.layouts.utterances import build_stored, summary, utterances

SPOKEN = utterances()


def split_of(name):
    return [one for one in SPOKEN if one.split == name]


def test_recordings_with_supervisions_become_shards(tmp_path):
    for split in ("train", "dev", "test"):
        write_lhotse(tmp_path / "in", split_of(split), split)
    write_cuts(tmp_path / "in", split_of("train"), "train")  # made from the supervisions, so they are the same
    found = build_stored(tmp_path / "in", tmp_path / "out")
    assert summary(found) == summary(SPOKEN)
    assert {one.tags["gender"] for one in found} == {"male", "female"}
    assert {one.tags["accent"] for one in found} == {"moldovan"}


def test_cuts_become_shards_of_what_they_cut(tmp_path):
    for split in ("train", "dev", "test"):
        write_cuts(tmp_path / "in", split_of(split), split)
    found = build_stored(tmp_path / "in", tmp_path / "out")
    assert summary(found) == summary(SPOKEN)
    lengths = {one.text: 0.5 + one.number % 5 / 10 for one in SPOKEN}
    assert all(abs(one.seconds - lengths[one.text] + 0.1) < 0.001 for one in found)


def test_one_manifest_brings_the_one_that_belongs_to_it(tmp_path):
    write_lhotse(tmp_path, split_of("train"), "train")
    write_lhotse(tmp_path, split_of("dev"), "dev")
    for name in ("toy_supervisions_train.jsonl.gz", "toy_recordings_train.jsonl.gz"):
        rows = read_source(tmp_path / name)
        assert (rows.kind, len(rows)) == ("lhotse", len(split_of("train")))
        assert {(row.start_seconds, row.end_seconds) for row in rows} == {(None, None)}


def test_supervisions_of_one_recording_are_its_segments(tmp_path):
    one = SPOKEN[0]
    write_lines(tmp_path / "recordings.jsonl", [recording(tmp_path, one)])
    segments = [
        supervision(one) | {"start": start, "duration": 0.2, "text": text} for start, text in ((0, "a"), (0.3, "b"))
    ]
    write_lines(tmp_path / "supervisions.jsonl", segments)
    rows = read_source(tmp_path)
    assert [(row.start_seconds, row.end_seconds, row.text) for row in rows] == [(0, 0.2, "a"), (0.3, 0.5, "b")]
    assert len({row.audio for row in rows}) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sources": [{"type": "command", "channels": [0], "source": "touch x"}]},
            "type 'command', .*; commands are never run",
        ),
        ({"sources": [{"type": "url", "channels": [0], "source": "https://a"}]}, "type 'url', .*download"),
        ({"sources": []}, "has no sources"),
        (
            {"transforms": [{"name": "Speed", "kwargs": {"factor": 0.9}}]},
            "has transforms, .* before they were augmented",
        ),
        ({"id": "other"}, "recording 'ron-000' is not among the recordings"),
    ],
)
def test_a_recording_that_is_no_plain_file_is_refused_with_its_line(change, message, tmp_path):
    write_lines(
        tmp_path / "recordings.jsonl", [recording(tmp_path, SPOKEN[0]) | change, recording(tmp_path, SPOKEN[1])]
    )
    write_lines(tmp_path / "supervisions.jsonl", [supervision(SPOKEN[0]), supervision(SPOKEN[1])])
    with pytest.raises(SourceError, match=rf"(recordings|supervisions)\.jsonl:1: .*{message}"):
        read_source(tmp_path)
    rows = read_source(tmp_path, skip_bad_rows=True)
    assert [row.name for row in rows] == [SPOKEN[1].key]


def test_each_channel_in_a_file_of_its_own_is_found(tmp_path):
    plain = recording(tmp_path, SPOKEN[0])
    files = [{"type": "file", "channels": [channel], "source": f"{channel}.wav"} for channel in (0, 1)]
    write_lines(tmp_path / "recordings.jsonl", [plain | {"sources": files}])
    write_lines(tmp_path / "supervisions.jsonl", [supervision(SPOKEN[0]) | {"channel": 1}])
    assert [row.audio.path.name for row in read_source(tmp_path)] == ["1.wav"]


@pytest.mark.parametrize(
    ("channels", "wanted", "found"),
    [([0, 1], 0, 1), ([0, 1], 1, 2), ([0, 1], [1], 2), ([1, 0], 1, 1), ([0, 1], [0, 1], None)],
)
def test_a_supervision_names_the_channel_of_its_recording(channels, wanted, found, tmp_path):
    source = {"type": "file", "channels": channels, "source": "a.wav"}
    write_lines(tmp_path / "recordings.jsonl", [recording(tmp_path, SPOKEN[0]) | {"sources": [source]}])
    write_lines(tmp_path / "supervisions.jsonl", [supervision(SPOKEN[0]) | {"channel": wanted}])
    assert [row.channel for row in read_source(tmp_path)] == [found]


def test_several_channels_of_more_are_refused(tmp_path):
    source = {"type": "file", "channels": [0, 1, 2], "source": "a.wav"}
    write_lines(tmp_path / "recordings.jsonl", [recording(tmp_path, SPOKEN[0]) | {"sources": [source]}])
    write_lines(tmp_path / "supervisions.jsonl", [supervision(SPOKEN[0]) | {"channel": [0, 2]}])
    with pytest.raises(SourceError, match=r"channels \[0, 2\] of several .*; give it one channel, or write"):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "MixedCut", "tracks": []}, "a cut of type 'MixedCut', expected a MonoCut; use the cuts before"),
        ({"recording": None}, "a cut without its recording"),
        ({"supervisions": "x"}, "'supervisions' is not a list"),
        ({"supervisions": [{"start": 0, "text": "a", "language": "ron"}]}, "a supervision without 'duration'"),
    ],
)
def test_a_cut_that_is_no_part_of_one_recording_is_refused(change, message, tmp_path):
    write_cuts(tmp_path, SPOKEN[:1], "all")
    line = {"id": "c", "start": 0.0, "duration": 0.5, "type": "MonoCut", "supervisions": [], "recording": None}
    plain = line | {"recording": recording(tmp_path, SPOKEN[0])}
    write_lines(tmp_path / "cuts_all.jsonl.gz", [plain | change])
    with pytest.raises(SourceError, match=rf"cuts_all\.jsonl\.gz:1: {message}"):
        read_source(tmp_path)


def test_a_cut_without_supervisions_is_counted(tmp_path):
    write_cuts(tmp_path, SPOKEN[:2], "all")
    line = {"id": "c", "start": 0.0, "duration": 0.5, "type": "MonoCut", "supervisions": []}
    write_lines(tmp_path / "cuts_all.jsonl.gz", [line | {"recording": recording(tmp_path, SPOKEN[0])}])
    rows = read_source(tmp_path, language="ron")
    assert [(item.drop.reason, item.drop.where) for item in rows.left_out] == [("missing_text", "cuts_all.jsonl.gz:1")]


def test_manifests_that_lack_their_other_half_or_end_early_are_named(tmp_path):
    write_lhotse(tmp_path / "a", split_of("train"), "train")
    (tmp_path / "a" / "toy_recordings_train.jsonl.gz").unlink()
    with pytest.raises(
        SourceError, match=r"no file .*toy_recordings_train.jsonl.gz, with the recordings for toy_super"
    ):
        read_source(tmp_path / "a")
    write_cuts(tmp_path / "b", split_of("train"), "train")
    path = tmp_path / "b" / "cuts_train.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"cuts_train.jsonl.gz is damaged, .*; copy or download it again"):
        read_source(tmp_path / "b")
