"""Kaldi data folders become shards, their commands are never run, and damaged lines are named."""

import random

import numpy as np
import pytest
import soundfile

from shards.errors import SourceError
from shards.sources.registry import read_source
from tests.layouts.kaldi import write_files, write_kaldi, write_segments
from tests.layouts.utterances import build_stored, summary, utterances
from tests.shard_samples import sound


def test_folders_named_as_splits_become_shards(tmp_path):
    spoken = utterances()
    for split in ("train", "dev", "test"):
        own = [one for one in spoken if one.split == split]
        write_kaldi(tmp_path / "data" / f"{split}_clean", own, tmp_path / "wavs")
    write_files(tmp_path / "data" / "lang", {"words.txt": ["a 1"]})
    found = build_stored(tmp_path / "data", tmp_path / "out", "--lang", "ron")
    assert summary(found) == summary(spoken)
    assert {(one.speaker, one.tags["gender"]) for one in found} == {(one.speaker, one.gender) for one in spoken}


def test_segments_are_cut_and_utterances_have_their_own_language(tmp_path):
    spoken = [*utterances(dev=0, test=0), *utterances(language="ita", dev=0, test=0)]
    write_segments(tmp_path / "data", spoken)
    found = build_stored(tmp_path / "data", tmp_path / "out")
    assert sorted((one.language, one.text) for one in found) == sorted((one.language, one.text) for one in spoken)
    assert {round(one.seconds, 1) for one in found} == {0.9}
    assert {one.speaker for one in found} == {None}  # each utterance is its own speaker: nothing is known


def test_a_folder_is_read_in_any_order_of_its_lines(tmp_path):
    write_kaldi(tmp_path / "data", utterances(), tmp_path / "wavs")
    in_order = {row.name: row for row in read_source(tmp_path / "data", language="ron")}
    for number, name in enumerate(("text", "utt2spk", "wav.scp")):
        path = tmp_path / "data" / name
        lines = path.read_text().splitlines()
        random.Random(number).shuffle(lines)
        path.write_text("\n".join(lines))
    for row in read_source(tmp_path / "data", language="ron"):
        assert (row.text, row.speaker, row.audio) == (
            in_order[row.name].text,
            in_order[row.name].speaker,
            in_order[row.name].audio,
        )


def test_files_are_read_in_place_of_commands_that_decode_them(tmp_path):
    spoken = utterances(train=2, dev=0, test=0)
    write_kaldi(tmp_path / "data", spoken, tmp_path / "wavs")
    commands = ("flac -c -d -s", "sph2pipe -f wav -p -c 1")
    lines = [f"{one.key} {commands[one.number]} {tmp_path}/wavs/{one.key}.flac |\n" for one in spoken]
    (tmp_path / "data" / "wav.scp").write_text("".join(lines))
    rows = read_source(tmp_path / "data", language="ron")
    assert [(row.audio.path.name, row.channel) for row in rows] == [("ron-000.flac", None), ("ron-001.flac", 1)]
    assert all(row.audio.check().missing is None for row in rows)
    assert [note for note in rows.notes if "no command is run" in note]


def test_commands_are_refused_and_never_run(tmp_path):
    write_kaldi(tmp_path / "data", utterances(train=2, dev=0, test=0), tmp_path / "wavs")
    lines = (tmp_path / "data" / "wav.scp").read_text().splitlines()
    lines[0] = f"ron-000 touch {tmp_path / 'ran'}; cat {tmp_path / 'wavs' / 'ron-000.flac'} |"
    (tmp_path / "data" / "wav.scp").write_text("\n".join(lines))
    with pytest.raises(SourceError, match=r"wav.scp:1: the recording is a command, .* never run; write the path"):
        read_source(tmp_path / "data", language="ron")
    rows = read_source(tmp_path / "data", language="ron", skip_bad_rows=True)
    assert [row.text for row in rows] == ["null"] and [item.line for item in rows.left_out] == [1]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("wav.scp", "ron-000 raw.ark:1532", "wav.scp:1: the recording is in an archive, 'raw.ark:1532'"),
        ("wav.scp", "ron-000", "wav.scp:1: the recording is '', expected a path"),
        ("utt2lang", "ron-000 dothrakish", "wav.scp:1: language .*dothrakish"),
        ("segments", "ron-000 ron-000 0.1 x", "segments:1: times '0.1' and 'x', expected seconds"),
        (
            "segments",
            "ron-000 ron-000 0.1",
            r"segments:1: 3 fields, expected: utterance recording start end \[",
        ),
        ("segments", "ron-000 ron-000 0.1 0.3 x", "segments:1: channel 'x', expected a number from 0, or A or B"),
        ("reco2file_and_channel", "ron-000 ron-000 C", "wav.scp:1: recording 'ron-000' has 'ron-000 C' in reco2file"),
        ("segments", "ron-000 other 0.1 0.3", "segments:1: recording 'other' is not in wav.scp"),
        ("text", b"ron-000 \xff", "text:1: is not UTF-8"),
    ],
)
def test_a_damaged_line_is_named(name, line, message, tmp_path):
    write_kaldi(tmp_path / "data", utterances(train=1, dev=0, test=0), tmp_path / "wavs")
    (tmp_path / "data" / name).write_bytes(line if isinstance(line, bytes) else line.encode())
    with pytest.raises(SourceError, match=message):
        read_source(tmp_path / "data", language="ron")
    assert not read_source(tmp_path / "data", language="ron", skip_bad_rows=True)


def test_missing_files_and_languages_are_errors_with_a_fix(tmp_path):
    write_kaldi(tmp_path / "data" / "train", utterances(train=2, dev=0, test=0), tmp_path / "wavs")
    with pytest.raises(SourceError, match=r"utterance 'ron-000' has no language in utt2lang; .* --lang"):
        read_source(tmp_path / "data")
    (tmp_path / "data" / "train" / "text").unlink()
    with pytest.raises(SourceError, match=r"no file 'text' in .*train"):
        read_source(tmp_path / "data", language="ron")


def test_a_folder_beside_splits_must_be_a_split(tmp_path):
    write_kaldi(tmp_path / "data" / "train", utterances(train=2, dev=0, test=0), tmp_path / "wavs")
    write_kaldi(tmp_path / "data" / "secret", utterances(train=3, dev=0, test=0)[2:], tmp_path / "wavs")
    with pytest.raises(SourceError, match="secret is beside parts named as splits, but is not a known split; rename"):
        read_source(tmp_path / "data", language="ron")
    assert {row.split for row in read_source(tmp_path / "data" / "secret", language="ron")} == {None}


def test_relative_paths_start_where_the_recipe_was_run(tmp_path):
    spoken = utterances(train=2, dev=0, test=0)
    write_kaldi(tmp_path / "recipe" / "data" / "train", spoken, tmp_path / "recipe" / "wavs")
    scp = tmp_path / "recipe" / "data" / "train" / "wav.scp"
    scp.write_text(scp.read_text().replace(f"{tmp_path}/recipe/", ""))
    rows = read_source(tmp_path / "recipe" / "data", language="ron")
    assert [row.audio.path for row in rows] == [tmp_path / "recipe" / "wavs" / f"{one.key}.flac" for one in spoken]
    assert {row.split for row in rows} == {"train"}


def test_texts_without_a_recording_are_counted(tmp_path):
    write_kaldi(tmp_path / "data", utterances(train=2, dev=0, test=0), tmp_path / "wavs")
    with open(tmp_path / "data" / "text", "a") as text:
        text.write("zzz more words\n")
    rows = read_source(tmp_path / "data", language="ron")
    assert [(item.drop.reason, item.drop.where) for item in rows.left_out] == [("missing_audio", "text: zzz")]


def test_the_sides_of_a_call_are_channels_of_its_file(tmp_path):
    left, right = (sound(0.6, seed=seed) for seed in (1, 2))
    folder = tmp_path / "data"
    write_files(
        folder,
        {
            "wav.scp": ["c1-A c1.wav", "c1-B c1.wav", "c2-B c2-B.wav"],
            "text": ["c1-A unu doi", "c1-B trei patru", "c2-B cinci"],
            "reco2file_and_channel": ["c1-A c1 A", "c1-B c1 B", "c2-B c2 B"],
        },
    )
    soundfile.write(folder / "c1.wav", np.stack([left, right], axis=1), 16_000)
    soundfile.write(folder / "c2-B.wav", left, 16_000)
    rows = list(read_source(folder, language="ron"))
    assert [(row.name, row.channel) for row in rows] == [("c1-A", 1), ("c1-B", 2), ("c2-B", None)]
    assert len(build_stored(folder, tmp_path / "out", "--lang", "ron", "--test-fraction", "0")) == 3


def test_a_segment_names_the_channel_of_its_recording_from_0(tmp_path):
    segments = ["a radio 0.0 0.9 0", "b radio 0.0 0.9 1", "c radio 1.0 1.9"]
    texts = ["a unu", "b doi", "c trei"]
    write_files(tmp_path, {"wav.scp": ["radio radio.wav"], "segments": segments, "text": texts})
    assert [row.channel for row in read_source(tmp_path, language="ron")] == [1, 2, None]
    assert [row.channel for row in read_source(tmp_path, language="ron", channel=1)] == [1, 2, 1]
