"""NeMo manifests become shards; what they say of languages, times and tars is understood or refused."""

import json

import numpy as np
import pytest
import soundfile

from shards.errors import SourceError
from shards.sources.registry import read_source, recognised
from shards.sources.source_place import SourcePlace
from tests.layouts.nemo import write_nemo, write_tarred_nemo
from tests.layouts.utterances import build_stored, summary, utterances
from tests.shard_samples import sound

SPOKEN = utterances()


def test_a_folder_of_manifests_becomes_shards(tmp_path):
    spoken = utterances()
    for split in ("train", "dev", "test"):
        own = [one for one in spoken if one.split == split]
        write_nemo(tmp_path / "in" / f"{split}_manifest.json", own)
    found = build_stored(tmp_path / "in", tmp_path / "out")
    assert summary(found) == summary(spoken)
    assert {(one.speaker, one.tags["gender"]) for one in found} == {(one.speaker, one.gender) for one in spoken}


def test_a_manifest_is_recognised_by_its_fields(tmp_path):
    for name in ("all.json", "all.jsonl", "all.manifest"):
        write_nemo(tmp_path / name, utterances(train=2, dev=0, test=0))
        assert recognised(SourcePlace(str(tmp_path / name))).name == "nemo"
    (tmp_path / "ours.jsonl").write_text(json.dumps({"audio": "a.wav", "text": "a", "lang": "ron"}))
    assert recognised(SourcePlace(str(tmp_path / "ours.jsonl"))).name == "manifest"


def test_an_offset_selects_a_segment_and_a_duration_alone_does_not(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.concatenate([sound(1.0, seed=seed) for seed in range(3)]), 16_000)
    line = {"audio_filepath": "long.wav", "text": "unu", "lang": "ron"}
    lines = [
        line | {"duration": 0.75, "offset": 1.5},
        line | {"duration": 0.75, "offset": 0},
        line | {"duration": 3.0},
        line | {"duration": 3.0, "offset": None},
    ]
    (tmp_path / "m.json").write_text("\n".join(map(json.dumps, lines)))
    rows = read_source(tmp_path / "m.json")
    assert [(row.start_seconds, row.end_seconds) for row in rows] == [
        (1.5, 2.25),
        (0, 0.75),
        (None, None),
        (None, None),
    ]
    assert {row.audio.path for row in rows} == {tmp_path / "long.wav"}


def test_the_language_is_that_of_the_text(tmp_path):
    write_nemo(tmp_path / "m.json", utterances(train=2, dev=0, test=0), lang=None, target_lang="ita", source_lang="ita")
    assert {row.language for row in read_source(tmp_path / "m.json")} == {"ita"}
    write_nemo(tmp_path / "m.json", utterances(train=2, dev=0, test=0), lang=None)
    assert {row.language for row in read_source(tmp_path / "m.json", language="fra")} == {"fra"}
    with pytest.raises(SourceError, match=r"m.json:1: no field 'lang'; .* with --lang"):
        read_source(tmp_path / "m.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_lang": "eng", "target_lang": "ron"}, "m.json:1: the text is a translation, from source_lang 'eng'"),
        ({"offset": "x"}, "m.json:1: 'offset' is 'x', expected seconds"),
        ({"text": 5}, "m.json:1: 'text' is 5, expected a string"),
        ({"audio_filepath": ""}, "m.json:1: 'audio_filepath' is empty"),
        ({"audio_filepath": "s3://bucket/a.wav"}, "m.json:1: 'audio_filepath' is a URL"),
        ({"audio_filepath": ["a.wav", "b.wav"]}, "m.json:1: 'audio_filepath' is .*expected a string"),
        ({"lang": "dothrakish"}, "m.json:1: language .*dothrakish"),
        ({"split": "odd"}, "m.json:1: split 'odd' is unknown"),
    ],
)
def test_a_damaged_line_is_named(change, message, tmp_path):
    write_nemo(tmp_path / "m.json", utterances(train=1, dev=0, test=0), **change)
    with open(tmp_path / "m.json", "a") as manifest:
        manifest.write('{"audio_filepath": "wav/ron-000.wav", "duration": 0.5, "text": "a", "lang": "ron"}\n{"oops"\n')
    with pytest.raises(SourceError, match=message):
        read_source(tmp_path / "m.json")
    rows = read_source(tmp_path / "m.json", skip_bad_rows=True)
    assert len(rows) == 1 and [item.line for item in rows.left_out] == [1, 3]


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_recordings_in_numbered_tars_are_read(kind, tmp_path):
    write_tarred_nemo(tmp_path / "in", SPOKEN, kind)
    found = build_stored(tmp_path / "in" / "tarred_audio_manifest.json", tmp_path / "out")
    assert [one.text for one in found if one.split == "train"] and len(found) == len(SPOKEN)
    lengths = {one.text: 0.5 + one.number % 5 / 10 for one in SPOKEN}
    assert all(abs(one.seconds - lengths[one.text]) < 0.001 for one in found)


def test_missing_tars_and_members_are_named(tmp_path):
    write_tarred_nemo(tmp_path, SPOKEN, "tar")
    manifest = tmp_path / "tarred_audio_manifest.json"
    (tmp_path / "audio_1.tar").rename(tmp_path / "audio_7.tar")
    with pytest.raises(SourceError, match=r"tarred_audio_manifest.json:2: there is no tar with the number 1"):
        read_source(manifest)
    (tmp_path / "audio_7.tar").replace(tmp_path / "audio_0.tar")
    with pytest.raises(SourceError, match=r"manifest.json:1: 'wav_ron-000.wav' is not in audio_0.tar"):
        read_source(manifest)
    (tmp_path / "audio_0.tar").unlink()
    with pytest.raises(SourceError, match=r"no tars beside the manifests .*; move audio_0.tar, audio_1.tar"):
        read_source(manifest)
