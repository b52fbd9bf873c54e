"""Recordings are decoded to their end, and compared with what their containers promise."""

import json
import struct
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from launcher.cli import main
from shards.audio.audio_errors import UndecodableError
from shards.audio.codec import decode, facts_of
from shards.audio.containers.byte_source import FileSource, MemorySource
from shards.audio.containers.kind import what_it_is
from shards.audio.recording import Recording
from shards.errors import DamagedSampleError
from shards.index import ShardIndex
from shards.index.parts import ShardPart, UtteranceFacts, describe_shard
from shards.read import ShardReader
from tests.recordings import (
    Corpus,
    encode,
    flac_total,
    id3,
    mp3_in_wav,
    ogg_page,
    ogg_pages,
    patched,
    speechlike,
    without_mp3_header,
    write_tar,
)
from tests.shard_samples import build, sentence

SECONDS = 2.0
SOUND = speechlike(SECONDS, 16_000)
OTHER = speechlike(1.0, 24_000, seed=3)


@dataclass(frozen=True)
class KeptSettings:
    """It is used: so many seconds, `counted` among those that do not tell their length."""

    seconds: float = SECONDS
    counted: bool = False


@dataclass(frozen=True)
class Left:
    """It is left out, and the example says this."""

    reason: str
    says: str


def le(number):
    return struct.pack("<I", number & 0xFFFFFFFF)


def be(number):
    return struct.pack(">I", number & 0xFFFFFFFF)


def loud_then_quiet():
    """An MP3 of 3 s whose first frames tell nothing of its length: they are much longer than the others."""
    noise = np.random.default_rng(0).standard_normal(3 * 44_100)
    noise *= np.where(np.arange(len(noise)) < 44_100, 0.3, 1e-4)
    return encode(noise, 44_100, "MP3", bitrate_mode="VARIABLE")


def containers_cut():
    """Halves of every container that tells its length, and of Ogg, whose last page marks the end."""
    plain = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "AVR", "VOC", "HTK")
    for container, subtype in (
        *((name, "PCM_16") for name in plain),
        ("SVX", "PCM_S8"),
        ("WAV", "FLOAT"),
        ("WAV", "ULAW"),
        ("WAV", "GSM610"),
        ("WAV", "IMA_ADPCM"),
        ("CAF", "ALAC_16"),
        ("FLAC", "PCM_16"),
        ("MP3", "MPEG_LAYER_III"),
    ):
        data = encode(SOUND, 16_000, container, subtype)
        name = f"{container}-{subtype}".lower()
        yield f"half-{name}", data[: len(data) // 2], Left("cut_short", " of 2.0")
        yield f"ninth-tenth-{name}", data[: len(data) * 9 // 10], Left("cut_short", " of 2.0")
        yield f"whole-{name}", data, KeptSettings()
        yield f"twice-{name}", data + data, KeptSettings(2 * SECONDS)
        yield f"header-{name}", data[:30], Left("" if container == "MP3" else "cut_short", "")
    for subtype in ("VORBIS", "OPUS"):
        data = encode(speechlike(8, 16_000), 16_000, "OGG", subtype)
        pages = ogg_pages(data)
        half = data[: len(data) // 2]
        unmarked = b"".join([*pages[:-1], ogg_page(pages[-1], (5, b"\0"))])
        position = struct.unpack("<q", pages[-1][6:14])[0]
        later = ogg_page(pages[-1], (6, struct.pack("<q", 2 * position)))
        yield f"whole-{subtype}", data, KeptSettings(8)
        yield f"half-{subtype}", half, Left("cut_short", "ends after ")
        yield f"unmarked-{subtype}", unmarked, Left("cut_short", "ends after 8.00 s (the end-of-stream Ogg page")
        yield f"chained-{subtype}", data + encode(OTHER, 24_000, "OGG", subtype), KeptSettings(9)
        yield f"chain-cut-{subtype}", data + half, Left("cut_short", "ends after ")
        yield f"page-lost-{subtype}", b"".join(pages[:3] + pages[4:]), Left("undecodable", "1 Ogg page missing")
        yield f"page-damaged-{subtype}", patched(data, (len(data) - 50, b"\x5a\xa5")), Left("undecodable", "damaged")
        yield f"too-late-{subtype}", b"".join([*pages[:-1], later]), Left("cut_short", " of 16.0")


def lengths_not_told():
    """Lengths that the writer did not know, as encoders into pipes leave them, or told too small."""
    wav = encode(SOUND, 16_000, "WAV", "PCM_16")
    for size in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF - 36):
        yield f"wav-{size:x}", patched(wav, (40, le(size))), KeptSettings(counted=True)
        yield f"wav-riff-{size:x}", patched(wav, (4, le(size)), (40, le(size))), KeptSettings(counted=True)
    yield "wav-too-small", patched(wav, (40, le(1_000))), KeptSettings(counted=True)
    yield "wav-too-large", patched(wav, (40, le(128_000))), Left("cut_short", "ends after 2.00 s of 4.00 s")
    yield "wav-few-too-many", patched(wav, (40, le(len(wav)))), KeptSettings()
    yield "wav-odd-chunk", wav + b"LIST" + le(9) + b"INFOabcde", KeptSettings()
    yield "wav-zeros-behind", wav + bytes(20_000), KeptSettings()
    yield "wav-empty", patched(wav[:44], (40, le(0))), Left("too_short", "0.00 s")
    yield "wav-two", wav + encode(OTHER, 24_000, "WAV", "FLOAT"), KeptSettings(SECONDS + 1)
    gsm = encode(SOUND, 16_000, "WAV", "GSM610")
    yield "gsm-0", patched(gsm, (gsm.index(b"data") + 4, le(0))), KeptSettings(counted=True)
    rf64 = encode(SOUND, 16_000, "RF64", "PCM_16")
    yield "rf64-0", patched(rf64, (28, bytes(8))), KeptSettings(counted=True)
    yield "bw64", b"BW64" + rf64[4:], KeptSettings()
    w64 = encode(SOUND, 16_000, "W64", "PCM_16")
    yield "w64-0", patched(w64, (w64.index(b"data") + 16, bytes(8))), KeptSettings(counted=True)
    aiff = encode(SOUND, 16_000, "AIFF", "PCM_16")
    sound, common = aiff.index(b"SSND") + 4, aiff.index(b"COMM") + 10
    yield "aiff-0", patched(aiff, (4, be(0)), (sound, be(0)), (common, be(0))), KeptSettings(counted=True)
    yield "aiff-more-frames", patched(aiff, (common, be(64_000))), Left("cut_short", "of 4.00 s")
    au = encode(SOUND, 16_000, "AU", "PCM_16")
    yield "au-unknown", patched(au, (8, be(-1))), KeptSettings(counted=True)
    for subtype in ("PCM_16", "ALAC_16"):
        caf = encode(SOUND, 16_000, "CAF", subtype)
        yield (
            f"caf-unknown-{subtype}",
            patched(caf, (caf.index(b"data") + 4, b"\xff" * 8)),
            KeptSettings(counted=subtype == "PCM_16"),
        )
    flac = encode(SOUND, 16_000, "FLAC", "PCM_16")
    yield "flac-0", flac_total(flac, 0), KeptSettings(counted=True)
    yield "flac-0-half", flac_total(flac, 0)[: len(flac) // 2], Left("cut_short", "within a FLAC frame")
    yield "flac-too-small", flac_total(flac, 10_000), KeptSettings(counted=True)
    yield "flac-too-small-by-one", flac_total(flac, 31_999), KeptSettings(counted=True)
    yield "flac-too-large", flac_total(flac, 64_000), Left("cut_short", "ends after 2.00 s of 4.00 s")
    yield "flac-absurd", flac_total(flac, 2**36 - 1), Left("cut_short", "ends after 2.00 s of 4294967.30 s")
    yield "flac-tagged", id3() + flac + b"TAG" + bytes(125), KeptSettings()
    yield "flac-last-byte", flac[:-1], Left("cut_short", "ends after 1.")


def mpeg():
    """MP3 with and without its header, tagged, joined, in WAV, with bytes in it that are none."""
    whole = loud_then_quiet()
    bare = without_mp3_header(whole)
    ape = b"APETAGEX" + struct.pack("<IIII", 2_000, 32, 1, 0xA0000000) + bytes(8)
    ape += bytes(1_968) + b"APETAGEX" + struct.pack("<IIII", 2_000, 32, 1, 0x80000000) + bytes(8)
    tag, junk = b"TAG" + bytes(125), np.random.default_rng(1).bytes(70_000)
    slower = encode(speechlike(1, 22_050), 22_050, "MP3")
    stereo = encode(speechlike(1, 44_100, channels=2), 44_100, "MP3")
    yield "mp3-whole", whole, KeptSettings(3)
    yield "mp3-bare", bare, KeptSettings(3, counted=True)
    yield "mp3-half", whole[: len(whole) // 2], Left("cut_short", " of 3.0")
    yield "mp3-bare-half", bare[: len(bare) // 2], Left("cut_short", "within an MPEG frame")
    yield "mp3-two", whole + whole, KeptSettings(6)
    yield "mp3-whole-bare", whole + bare, KeptSettings(6)
    yield "mp3-bare-whole", bare + whole, KeptSettings(6, counted=True)
    yield "mp3-bare-bare", bare + bare, KeptSettings(6, counted=True)
    yield "mp3-two-tagged", id3() + whole + tag + id3() + whole + tag, KeptSettings(6)
    yield "mp3-two-rates", whole + slower, KeptSettings(4)
    yield "mp3-two-rates-bare", bare + without_mp3_header(slower), KeptSettings(4, counted=True)
    yield "mp3-mono-stereo", whole + stereo, KeptSettings(4)
    yield "mp3-tagged", id3() + whole + ape + tag, KeptSettings(3)
    yield "mp3-bare-tagged", id3() + bare + ape + tag, KeptSettings(3, counted=True)
    yield "mp3-junk", junk[:3_000] + whole, KeptSettings(3)
    yield "mp3-bare-junk", junk + bare, KeptSettings(3, counted=True)
    yield "mp3-bare-junk-within", bare[:20_000] + junk[:3_000] + bare[20_000:], KeptSettings(3, counted=True)
    yield "mp3-tag-alone", id3(), Left("cut_short", "no audio after it")
    yield "mp3-wav", mp3_in_wav(whole, 44_100), KeptSettings(3)
    yield "mp3-bare-wav", mp3_in_wav(bare, 44_100), KeptSettings(3)
    yield "mp3-wav-half", mp3_in_wav(bare, 44_100)[: len(bare) // 2], Left("cut_short", "bytes of audio declared")


def with_another_stream(ogg):
    """An Ogg file with a skeleton beside its sound."""
    first, *rest = ogg_pages(ogg)
    changes = (14, le(7)), (5, b"\2"), (28, b"fishead\0")
    bones = ogg_page(patched(first, *changes), *changes)
    return b"".join([bones, first, rest[0], ogg_page(bones, (5, b"\4"), (18, le(1))), *rest[1:]])


def rarer_layouts():
    """Legal files that are seldom met, and their halves."""
    for subtype in ("VORBIS", "OPUS"):
        ogg = with_another_stream(encode(speechlike(8, 16_000), 16_000, "OGG", subtype))
        yield f"skeleton-{subtype}", ogg, KeptSettings(8)
        yield f"skeleton-half-{subtype}", ogg[: len(ogg) // 2], Left("cut_short", "ends after ")
    page = ogg_pages(encode(SOUND, 16_000, "OGG", "VORBIS"))[0]
    head = ogg_page(page, (28, b"\x7fFLAC\1\0\0\1fLaC"))
    yield "ogg-flac", head + ogg_page(page, (5, b"\4"), (18, le(1))), Left("undecodable", "FLAC in Ogg")
    whole = loud_then_quiet()
    count = max(whole.find(b"Xing"), whole.find(b"Info")) + 8
    frames = struct.unpack(">I", whole[count : count + 4])[0]
    for more in (-2, -1, 1, 2):
        yield f"mp3-count{more:+}", patched(whole, (count, be(frames + more))), KeptSettings(3)
    yield (
        "mp3-count+3",
        patched(whole, (count, be(frames + 3))),
        Left("cut_short", f"{frames + 3} MPEG frames"),
    )
    yield "mp3-zeros-before", bytes(3_000) + whole, KeptSettings(3)
    flac = encode(SOUND, 16_000, "FLAC", "PCM_16")
    yield "flac-picture-behind", flac + np.random.default_rng(3).bytes(1_100_000), KeptSettings()
    ircam = encode(SOUND, 16_000, "IRCAM", "PCM_32")[:1024] + without_mp3_header(whole)
    yield "ircam-like-mpeg", ircam[: len(ircam) // 4 * 4], KeptSettings((len(ircam) - 1024) // 4 / 16_000, counted=True)
    mat5 = encode(SOUND, 16_000, "MAT5", "PCM_16")
    yield "half-mat5", mat5[: len(mat5) // 2], KeptSettings(1, counted=True)
    voc = encode(SOUND, 16_000, "VOC", "PCM_16").rstrip(b"\0")
    yield "voc-blocks", voc + b"\2\x10\0\0" + bytes(17), Left("undecodable", "several VOC blocks")


def others():
    """What is no recording, or none that libsndfile reads."""
    yield "html", b"\n<!DOCTYPE html><html><head></head></html>", Left("undecodable", "an HTML page")
    yield "xhtml", b'<?xml version="1.0"?><html xmlns="x"><body>', Left("undecodable", "an HTML page")
    yield "xml", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', Left("undecodable", "an XML file")
    yield "json", b'{"error": "not found"}', Left("undecodable", "a JSON file")
    yield "lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", Left("undecodable", "git lfs pull")
    yield "gzip", b"\x1f\x8b\x08" + bytes(50), Left("undecodable", "compressed with gzip")
    yield "zip", b"PK\x03\x04" + bytes(50), Left("undecodable", "a ZIP archive")
    yield "empty", b"", Left("undecodable", "an empty file")
    yield "zeros", bytes(5_000), Left("undecodable", "nothing but zero bytes")
    yield "m4a", b"\0\0\0\x20ftypM4A " + bytes(50), Left("undecodable", "MP4")
    yield "text", "țară și glas".encode(), Left("undecodable", "a text file that begins with 'țară")
    yield "noise", np.random.default_rng(2).bytes(3_000), Left("undecodable", "not in a format that libsndfile reads")
    yield "apple", b"\x00\x05\x16\x07" + bytes(50), Left("undecodable", "macOS")


CASES = {
    name.lower(): (data, expected)
    for group in (containers_cut, lengths_not_told, mpeg, rarer_layouts, others)
    for name, data, expected in group()
    if expected != Left("", "")
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    cases = {name: data for name, (data, _) in CASES.items()}
    made = Corpus(tmp_path_factory.mktemp("cut"), cases)
    return made, {"built": made.build(), "indexed": made.index()}


@pytest.mark.parametrize("place", ["built", "indexed"])
def test_what_is_whole_is_kept_and_nothing_else(corpus, place):
    made, indexes = corpus
    found = {name: len(audio) / 16_000 for name, audio in made.audio(place).items()}
    expected = {name: case.seconds for name, (_, case) in CASES.items() if isinstance(case, KeptSettings)}
    assert found.keys() == expected.keys()
    # MP3 without a header keeps what its encoder put around the sound; ADPCM fills its last block.
    assert {name: seconds for name, seconds in found.items() if not -0.06 < seconds - expected[name] < 0.12} == {}
    expected_counts = {}
    for _, case in CASES.values():
        if isinstance(case, Left):
            expected_counts[case.reason] = expected_counts.get(case.reason, 0) + 1
    assert {reason: entry["count"] for reason, entry in indexes[place]["drops"].items()} == expected_counts
    unknown = sum(case.counted for _, case in CASES.values() if isinstance(case, KeptSettings))
    assert indexes[place]["length_unknown"]["count"] == unknown


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_is_left_out_says_what_was_found_and_promised(name):
    data, case = CASES[name]
    if isinstance(case, KeptSettings):
        assert facts_of(data).length_unknown == case.counted
    elif case.reason != "too_short":
        with pytest.raises(UndecodableError) as error:
            decode(data)
        assert error.value.reason == case.reason
        assert case.says in str(error.value)


def test_parts_of_joined_recordings_come_one_behind_the_other():
    for container, subtype in (
        ("OGG", "VORBIS"),
        ("MP3", None),
        ("FLAC", "PCM_16"),
        ("WAV", "FLOAT"),
        ("AIFF", "PCM_16"),
    ):
        first, second = (encode(audio, rate, container, subtype) for audio, rate in ((SOUND, 16_000), (OTHER, 24_000)))
        joined = decode(first + second) / 32768
        expected = np.concatenate([SOUND, speechlike(1, 16_000, seed=3)])
        assert len(joined) == len(expected)
        assert np.corrcoef(joined, expected)[0, 1] > 0.995
        with Recording(MemorySource(first + second)) as recording:
            across = recording.cut(1.5, 2.5) / 32768
        assert np.corrcoef(across, expected[24_000:40_000])[0, 1] > 0.99, container


@pytest.mark.parametrize("container", ["MP3", "bare MP3", "OGG", "OGG opus", "FLAC", "WAV", "flac without length"])
def test_segments_of_a_long_recording_are_those_of_the_whole(container, tmp_path):
    audio = np.concatenate([speechlike(1, 16_000, seed=number) for number in range(12)])
    audio += 0.01 * np.random.default_rng(0).standard_normal(len(audio))
    kind = container.split()[-1] if "MP3" in container else container[:4].strip().upper()
    data = encode(audio, 16_000, kind, "OPUS" if "opus" in container else None)
    data = without_mp3_header(data) if container == "bare MP3" else data
    data = flac_total(data, 0) if "without" in container else data
    path = tmp_path / "recording"
    path.write_bytes(data)
    whole = decode(data).astype(np.int32)
    with Recording(path) as recording:
        for start, end in ((0.5, 1.5), (1.5, 2.0), (9.0, 10.0), (3.25, 4.0), (0.0, 0.5), (11.0, None)):
            found = recording.cut(start, end).astype(np.int32)
            expected = whole[round(start * 16_000) : None if end is None else round(end * 16_000)]
            assert len(found) == len(expected)
            assert np.abs(found - expected).max() <= (100 if container == "OGG opus" else 1)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_segments_before_the_cut_of_a_recording_are_kept(container, tmp_path):
    audio = np.concatenate([speechlike(1, 16_000, seed=number) for number in range(10)])
    data = encode(audio, 16_000, container)
    (tmp_path / "long").write_bytes(data[: len(data) // 2])
    spans = [(0, 1), (1, 2), (2, 3), (3, 6), (7, 8), (8, None), (9, 10), (11, 12)]
    lines = [
        {"audio": "long", "text": sentence(number, 3), "lang": "eng", "split": "train", "start": start, "end": end}
        for number, (start, end) in enumerate(spans)
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    drops = build(manifest, tmp_path / "shards").indexes["eng"]["drops"]
    counts = {reason: entry["count"] for reason, entry in drops.items()}
    # What lies behind the end that was promised is no matter of the cut; an Ogg promises none.
    assert counts == ({"cut_short": 5} if container == "OGG" else {"bad_segment": 1, "cut_short": 4})
    index = ShardIndex.load(str(tmp_path / "shards"))
    reader = ShardReader(index)
    found = {}
    for row in range(len(index.language("eng").table("train"))):
        utterance = reader.read("eng", "train", row)
        found[utterance.text] = utterance.audio / 32768
    for number in range(3):
        assert np.corrcoef(found[sentence(number, 3)], speechlike(1, 16_000, seed=number))[0, 1] > 0.99


def test_a_resource_fork_beside_a_recording_does_not_stand_for_it(tmp_path):
    (tmp_path / "clip.mp3").write_bytes(encode(SOUND, 16_000, "MP3"))
    (tmp_path / "._clip.mp3").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    with Recording(tmp_path / "clip.mp3") as recording:
        assert len(recording.all()) == len(SOUND)


def test_an_old_index_of_mp3_without_header_asks_to_be_made_again(tmp_path, monkeypatch):
    corpus = Corpus(tmp_path, {"bare": without_mp3_header(loud_then_quiet())})
    with monkeypatch.context() as patch:
        patch.setattr("shards.foreign.survey_tar.decode", lambda *_, **__: np.arange(30_309, dtype=np.int16))
        corpus.index()
    reader = ShardReader(ShardIndex.load(str(tmp_path / "indexed")))
    with pytest.raises(DamagedSampleError, match=r"its index says 30309 .* index it again with 'mms-dist shards index"):
        reader.read("eng", "train", 0)


def test_a_file_reads_as_its_bytes_in_memory_do(tmp_path):
    data = np.random.default_rng(0).bytes(300_000)
    (tmp_path / "file").write_bytes(data)
    file, memory = FileSource(tmp_path / "file"), MemorySource(data)
    for offset, count in ((0, 10), (5, 70_000), (65_530, 20), (299_990, 100), (10, 4), (400_000, 4)):
        assert file.at(offset, count) == memory.at(offset, count)
    for wanted in (data[200_000:200_008], data[65_535:65_539], b"nowhere in it"):
        assert file.find(wanted, 3) == memory.find(wanted, 3)
    file.close()


FUZZED = [
    encode(speechlike(0.3, 16_000), 16_000, container, subtype)
    for container, subtype in (
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("WAV", "GSM610"),
        ("RF64", "PCM_24"),
        ("W64", "IMA_ADPCM"),
        ("AIFF", "PCM_16"),
        ("AU", "ULAW"),
        ("CAF", "ALAC_16"),
        ("CAF", "PCM_16"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
        ("NIST", "PCM_16"),
        ("VOC", "PCM_16"),
        ("AVR", "PCM_16"),
        ("SVX", "PCM_S8"),
        ("MAT5", "DOUBLE"),
    )
]


@settings(max_examples=300, deadline=5_000, derandomize=True)
@given(st.data())
def test_no_damage_gives_anything_but_audio_or_a_reason(data):
    chosen = bytearray(data.draw(st.sampled_from(FUZZED)))
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 255)), max_size=8)):
        # Most of the damage to the header.
        chosen[(place if place < len(chosen) and place % 4 == 0 else place % 80) % len(chosen)] = value
    chosen = chosen[: data.draw(st.one_of(st.just(len(chosen)), st.integers(0, len(chosen))))]
    damaged = bytes(chosen)
    what_it_is(damaged)
    try:
        facts = facts_of(damaged)
        if facts.rate >= 8_000 and facts.seconds <= 30:
            assert decode(damaged).dtype == np.int16
    except UndecodableError as error:
        assert str(error)


def test_the_commands_say_how_many_recordings_tell_no_length(tmp_path, capsys):
    corpus = Corpus(tmp_path, {"bare": without_mp3_header(loud_then_quiet()), "whole": encode(SOUND, 16_000, "WAV")})
    write_tar(tmp_path / "tars" / "eng" / "train.tar", corpus.recordings, corpus.texts)
    for key, data in corpus.recordings.items():
        (tmp_path / f"{key}.x").write_bytes(data)
    lines = [f"{key}.x\t{text}\teng\ttrain" for key, text in corpus.texts.items()]
    (tmp_path / "m.tsv").write_text("\n".join(["audio\ttext\tlang\tsplit", *lines]) + "\n")
    shards = str(tmp_path / "shards")
    for command in (
        ["build", str(tmp_path / "m.tsv"), shards, "--workers", "1"],
        ["inspect", shards],
        ["index", str(tmp_path / "tars"), "--workers", "1"],
        ["inspect", str(tmp_path / "tars")],
    ):
        assert main(["shards", *command]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "eng: 1 utterance kept from recordings that do not declare their length (for example bare" in said


def test_finished_shards_of_a_build_keep_what_is_known_of_their_lengths(tmp_path):
    write_tar(tmp_path / "train.tar", {"a": b"1", "b": b"2"}, {"a": "unu", "b": "doi"})
    facts = [UtteranceFacts(key, key, 16_000, None, key == "b") for key in ("a", "b")]
    part = describe_shard(tmp_path / "train.tar", "train.tar", "train", facts)
    part.save(tmp_path / "part.json")
    loaded = ShardPart.load(tmp_path / "part.json")
    assert (loaded.rows, loaded.length_unknown) == (part.rows, part.length_unknown)
    assert (part.length_unknown, part.select([0], ["a"]).length_unknown) == (["b"], [])
    # One of a build that an earlier version began.
    content = json.loads((tmp_path / "part.json").read_text())
    del content["length_unknown"]
    (tmp_path / "part.json").write_text(json.dumps(content))
    assert ShardPart.load(tmp_path / "part.json").length_unknown == []
