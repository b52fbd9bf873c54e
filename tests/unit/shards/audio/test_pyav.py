"""Recordings that libsndfile does not read come back right through PyAV, and what is wrong with them is found."""

import functools
import json

import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings

from launcher.cli import main
from shards.audio.audio_errors import CutShortError, UndecodableError
from shards.audio.codec import decode, facts_of
from shards.audio.containers.byte_source import FileSource, MemorySource
from shards.audio.recording import Recording
from shards.index import ShardIndex
from shards.read import ShardReader
from tests.recordings import Corpus, encode, id3, speechlike

pytest.importorskip("av", reason="PyAV is not installed: pip install 'mms-dist[av]'")
from tests.pyav_recordings import encode_with_pyav

SECONDS = 2.0
# container, codec, rate, with a picture, states its length, samples at the codec's rate that it begins late
FORMATS = {
    "m4a": ("ipod", "aac", 44_100, False, True, 0),
    "m4a-16": ("ipod", "aac", 16_000, False, True, 0),
    "mov": ("mov", "pcm_s16le", 16_000, False, True, 0),
    "mp4-video": ("mp4", "aac", 48_000, True, True, 0),
    "aac": ("adts", "aac", 16_000, False, False, 1024),
    "webm": ("webm", "libopus", 48_000, False, True, 0),
    "mkv-video": ("matroska", "aac", 16_000, True, True, 0),
    "avi": ("avi", "pcm_s16le", 16_000, False, True, 0),
    "flv": ("flv", "aac", 44_100, False, True, 1024),
    "ts": ("mpegts", "aac", 16_000, False, False, 1024),
    "amr": ("amr", "libopencore_amrnb", 8_000, False, False, 40),
    "wv": ("wv", "wavpack", 16_000, False, True, 0),
    "tta": ("tta", "tta", 16_000, False, True, 0),
}
# AMR keeps the loudness of voices, and not the shape of the wave.
LIKENESS = {"amr": 0.85}
AMR_FRAME_BYTES = 13


@functools.cache
def recording(name, *, seconds=SECONDS, channels=1):
    container, codec, rate, picture, *_ = FORMATS[name]
    return encode_with_pyav(speechlike(seconds, rate, channels=channels), rate, container, codec, picture=picture)


@pytest.fixture(scope="module")
def recordings():
    return {name: recording(name) for name in FORMATS}


def likeness(found, expected):
    """The correlation of what both have."""
    length = min(len(found), len(expected))
    return np.corrcoef(found[:length], expected[:length])[0, 1]


def loudness(sound):
    """The loudness of each stretch of 20 ms."""
    return np.sqrt((sound[: len(sound) // 320 * 320].astype(float).reshape(-1, 320) ** 2).mean(axis=1))


@pytest.mark.parametrize("name", FORMATS)
def test_sound_of_every_format_comes_back_whole_and_in_its_place(name, recordings):
    _, _, rate, _, states_length, late = FORMATS[name]
    facts = facts_of(recordings[name])
    found = decode(recordings[name])
    assert facts.rate == rate and facts.length_unknown == (not states_length)
    assert facts.seconds == pytest.approx(SECONDS, abs=0.2) and len(found) / 16_000 == pytest.approx(SECONDS, abs=0.2)
    found, expected = found[late * 16_000 // rate :], speechlike(SECONDS, 16_000)
    if name == "amr":
        found, expected = loudness(found), loudness(expected)
    assert likeness(found, expected) > LIKENESS.get(name, 0.99)


@pytest.mark.parametrize("part", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_whose_end_is_missing_is_not_kept(name, part, recordings):
    data = recordings[name]
    with pytest.raises(CutShortError):
        # An odd number, so that no packet of a transport stream ends there; nor may a frame of AMR.
        length = int(len(data) * part) | 1
        decode(data[: length + 2 * ((length - len(b"#!AMR\n")) % AMR_FRAME_BYTES == 0)])


@pytest.mark.parametrize("name", ["m4a", "webm", "aac", "amr"])
def test_segments_of_a_recording_are_those_of_the_whole(name, tmp_path):
    data = recording(name, seconds=6.0)
    (tmp_path / "clip.wav").write_bytes(data)
    whole = decode(data)
    with Recording(FileSource(tmp_path / "clip.wav")) as opened:
        for start, end in ((1.0, 2.0), (2.0, 3.5), (0.5, 0.75), (4.0, None), (0.0, 1.0)):
            cut = opened.cut(start, end)
            expected = whole[int(start * 16_000) : None if end is None else int(end * 16_000)]
            length = min(len(cut), len(expected)) - 200
            assert abs(len(cut) - len(expected)) <= 2
            # The resampler knows less at the edges of a segment.
            assert np.abs(cut[200:length].astype(int) - expected[200:length]).max() < 60


def test_one_channel_is_taken_and_a_missing_one_is_named(tmp_path):
    rate = 16_000
    both = np.stack([speechlike(SECONDS, rate, seed=1), speechlike(SECONDS, rate, seed=5)], axis=1)
    files = {"pcm.wav": encode(both, rate, "WAV"), "two.m4a": encode_with_pyav(both, rate, "ipod", "aac")}
    lines = ["audio\ttext\tlang\tspeaker\tside"]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        lines += [f"{name}\t{name[:3]} {word}\tron\t{word}\t{n}" for n, word in ((1, "unu"), (2, "doi"), (3, "trei"))]
    manifest = tmp_path / "calls.tsv"
    manifest.write_text("\n".join(lines) + "\n")
    options = ["--workers", "1", "--test-fraction", "0", "--dev-fraction", "0"]
    assert main(["shards", "build", str(manifest), str(tmp_path / "out"), "--columns", "channel=side", *options]) == 0
    index = ShardIndex.load(str(tmp_path / "out"))
    assert index.language("ron").content["drops"]["no_channel"]["count"] == 2
    reader = ShardReader(index)
    found = [reader.read("ron", "train", row) for row in range(4)]
    for utterance in found:
        side = ["unu", "doi"].index(utterance.info["speaker"])
        assert likeness(utterance.audio, both[:, side]) > 0.99
        assert abs(likeness(utterance.audio, both[:, 1 - side])) < 0.8
    assert len({utterance.key for utterance in found}) == 4


def test_a_flag_takes_one_channel_of_all_recordings(tmp_path):
    both = np.stack([speechlike(SECONDS, 16_000, seed=1), speechlike(SECONDS, 16_000, seed=5)], axis=1)
    (tmp_path / "in" / "ron").mkdir(parents=True)
    soundfile.write(tmp_path / "in" / "ron" / "a.wav", both, 16_000)
    (tmp_path / "in" / "ron" / "a.txt").write_text("unu")
    command = ["shards", "build", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1", "--channel"]
    assert main([*command, "2"]) == 0
    found = ShardReader(ShardIndex.load(str(tmp_path / "out"))).read("ron", "train", 0)
    assert likeness(found.audio, both[:, 1]) > 0.999
    assert main([*command, "3", "--force"]) == 2


def test_what_has_no_sound_or_wrong_sound_is_left_out_by_reason(recordings, tmp_path):
    rate = 16_000
    wrong = speechlike(SECONDS, rate)
    wrong[100] = np.nan
    silent = np.zeros(rate)
    found = {
        "good.wav": recordings["m4a"],
        "empty.m4a": b"",
        "page.m4a": b"<!DOCTYPE html><html>",
        "nan.mov": encode_with_pyav(wrong, rate, "mov", "pcm_f32le"),
        "scale.mov": encode_with_pyav(30_000 * speechlike(SECONDS, rate), rate, "mov", "pcm_f32le"),
        "silent.mov": encode_with_pyav(silent, rate, "mov", "pcm_s16le"),
        "slow.mov": encode_with_pyav(speechlike(SECONDS, 6_000), 6_000, "mov", "pcm_s16le"),
        "long.m4a": recording("m4a-16", seconds=31.0),
        "short.mov": encode_with_pyav(speechlike(0.1, rate), rate, "mov", "pcm_s16le"),
        "noise.webm": recordings["webm"][:200] + bytes(range(256)) * 20,
    }
    corpus = Corpus(tmp_path, found)
    drops = {reason: entry["count"] for reason, entry in corpus.build()["drops"].items()}
    assert drops.pop("undecodable", 0) + drops.pop("cut_short", 0) == 3
    assert drops == {"not_finite": 1, "float_scale": 1, "silent": 1, "sample_rate": 1, "too_long": 1, "too_short": 1}
    assert list(corpus.audio("built")) == ["good.wav"]


def test_built_and_indexed_are_the_same_whatever_the_extension(recordings, tmp_path):
    corpus = Corpus(tmp_path, {name: recordings[name] for name in ("m4a", "webm", "amr", "mp4-video")})
    counted = corpus.build()["length_unknown"]["count"], corpus.index()["length_unknown"]["count"]
    assert counted == (1, 1)
    built, indexed = corpus.audio("built"), corpus.audio("indexed")
    assert built.keys() == indexed.keys() == corpus.recordings.keys()
    assert all((built[name] == indexed[name]).all() for name in built)


def test_g722_is_read_where_the_name_says_so(tmp_path):
    (tmp_path / "in" / "ron").mkdir(parents=True)
    # FFmpeg reads G.722 and writes it, but the file is nothing but its samples.
    data = encode_with_pyav(speechlike(SECONDS, 16_000), 16_000, "g722", "g722")
    (tmp_path / "in" / "ron" / "a.g722").write_bytes(data)
    (tmp_path / "in" / "ron" / "a.txt").write_text("unu")
    assert main(["shards", "build", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1"]) == 0
    found = ShardReader(ShardIndex.load(str(tmp_path / "out"))).read("ron", "train", 0)
    assert likeness(found.audio[22:], speechlike(SECONDS, 16_000)) > 0.99  # G.722 is 22 samples late
    with pytest.raises(UndecodableError):
        decode(data)


def test_tags_before_aac_are_skipped(recordings):
    assert (decode(id3() + recordings["aac"]) == decode(recordings["aac"])).all()


def test_without_pyav_the_extra_is_named_and_installing_it_rebuilds(recordings, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "in" / "ron"
    folder.mkdir(parents=True)
    for name, text in (("a.m4a", "unu"), ("b.wav", "doi")):
        (folder / name).write_bytes(recordings["m4a"])
        (folder / name).with_suffix(".txt").write_text(text)
    soundfile.write(folder / "c.wav", speechlike(SECONDS, 16_000), 16_000)
    (folder / "c.txt").write_text("trei")
    build = ["shards", "build", str(tmp_path / "in"), str(tmp_path / "out"), "--workers", "1"]
    build += ["--dev-fraction", "0", "--test-fraction", "0"]
    with monkeypatch.context() as patch:
        for module in (
            "audio.extensions",
            "audio.pyav_decoder",
            "audio.containers.pyav_formats",
            "display.build_report",
        ):
            patch.setattr(f"shards.{module}.pyav_is_installed", lambda: False)
        assert main(build) == 0
        shown = capsys.readouterr().out
        assert "pip install 'mms-dist[av]'" in shown and "1 .m4a" in shown
    drops = json.loads((tmp_path / "out" / "ron" / "index.json").read_text())["drops"]
    assert {reason: entry["count"] for reason, entry in drops.items()} == {"unread_format": 1, "undecodable": 1}
    assert "which needs PyAV; pip install 'mms-dist[av]'" in drops["undecodable"]["examples"][0]
    assert main(build) == 0
    index = json.loads((tmp_path / "out" / "ron" / "index.json").read_text())
    assert sum(split["samples"] for split in index["splits"].values()) == 3 and index["drops"] == {}


def test_titles_that_are_not_utf_8_do_not_matter(recordings):
    data = recordings["m4a"]
    assert b"Lavf" in data  # the name of the encoder, among the titles
    assert (decode(data.replace(b"Lavf", b"\xe9\xe8vf")) == decode(data)).all()


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(1, 40), st.binary(max_size=40)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(FORMATS)), changes=CHANGES)
def test_no_damage_gives_anything_but_audio_or_a_reason(name, changes):
    damaged = bytearray(recording(name))
    for part, length, new in changes:
        place = int(part * (len(damaged) - 1))
        damaged[place : place + length] = new
    try:
        with Recording(MemorySource(bytes(damaged))) as opened:
            assert opened.all().dtype == np.int16
    except UndecodableError as error:
        assert str(error)
