"""Built shards hold what the source said, the same bytes every time, and appear whole or not at all."""

import gc
import json
import os

import numpy as np
import pytest
import soundfile
import soxr

from shards.build import language_build as build_module
from shards.build.corpus import build_shards, is_built
from shards.build.language_build import BuildOptions, BuildProgress
from shards.errors import ShardsError
from shards.index import ShardIndex
from shards.limits import Limits
from shards.read import ShardReader
from shards.schema import frames_of, required_frames
from shards.splits import SPLITS
from tests.shard_samples import build, plans_of, sentence, sound, tree_sums, write_corpus


def utterances_of(root):
    index = ShardIndex.load(str(root))
    reader = ShardReader(index)
    return {
        (code, split, row): reader.read(code, split, row)
        for code in index.languages
        for split in SPLITS
        for row in range(len(index.language(code).table(split)))
    }


def test_every_utterance_is_in_the_shards_once_with_its_audio_and_text(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita"))
    build(manifest, tmp_path / "shards")
    found = {}
    for (code, _, _), utterance in utterances_of(tmp_path / "shards").items():
        assert utterance.language == code == utterance.info["lang"]
        found[utterance.info["source"]] = utterance
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert found.keys() == {line["audio"] for line in lines}
    for line in lines:
        original, _ = soundfile.read(tmp_path / "corpus" / line["audio"], dtype="int16")
        utterance = found[line["audio"]]
        assert (utterance.audio == original).all()
        assert (utterance.text, utterance.info["speaker"]) == (line["text"], line["speaker"])
        assert utterance.info["duration"] == pytest.approx(len(original) / 16_000)


def test_the_table_tells_length_frames_labels_and_place_of_every_utterance(tmp_path):
    build(write_corpus(tmp_path / "corpus"), tmp_path / "shards")
    language = ShardIndex.load(str(tmp_path / "shards")).language("ron")
    for (_, split, row), utterance in utterances_of(tmp_path / "shards").items():
        table = language.table(split)
        assert table.keys[row] == utterance.key
        assert table.samples[row] == len(utterance.audio)
        assert table.frames[row] == frames_of(len(utterance.audio))
        assert table.label_length[row] == len(language.vocabulary.encode(utterance.text))
        assert table.required_frames[row] == required_frames(utterance.text)
        assert table.durations[row] == len(utterance.audio) / 16_000
        assert table.speaker[row] == utterance.info["speaker"]
    for split in SPLITS:
        table = language.table(split)
        counts = np.bincount(table.shard, minlength=len(language.shards(split)))
        assert counts.tolist() == [shard.samples for shard in language.shards(split)]
        assert sum(shard.seconds for shard in language.shards(split)) == pytest.approx(table.durations.sum(), abs=0.01)
        chosen = table.select(table.samples > 10_000)
        assert (table.keys[chosen.rows] == chosen.keys).all()


# webdataset leaves its files to the garbage collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_plain_webdataset_reads_every_sample(tmp_path):
    import webdataset

    build(write_corpus(tmp_path / "corpus"), tmp_path / "shards")
    ours = {utterance.key: utterance for utterance in utterances_of(tmp_path / "shards").values()}
    tars = sorted(map(str, (tmp_path / "shards" / "ron").glob("*.tar")))
    seen = set()
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        utterance = ours[sample["__key__"]]
        assert json.loads(sample["json"]) == utterance.info
        assert sample["flac"][:4] == b"fLaC"
        seen.add(sample["__key__"])
    gc.collect()
    assert seen == ours.keys()


def test_the_bytes_do_not_depend_on_workers_place_or_time(tmp_path):
    extra = [
        {"audio": "ron/long.flac", "text": sentence(700 + n), "lang": "ron", "start": n, "end": n + 1} for n in range(9)
    ]
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita"), extra=extra)
    soundfile.write(tmp_path / "corpus" / "ron" / "long.flac", sound(10, seed=77), 16_000)
    build(manifest, tmp_path / "one", workers=1)
    other = tmp_path / "elsewhere"
    os.rename(tmp_path / "corpus", other)
    for path in other.rglob("*.wav"):
        os.utime(path, (1, 1))
    build(other / "corpus.jsonl", tmp_path / "three", workers=3)
    assert tree_sums(tmp_path / "one") == tree_sums(tmp_path / "three")
    assert len(tree_sums(tmp_path / "one")) > 10


def test_the_order_of_the_manifest_does_not_matter(tmp_path):
    manifest = write_corpus(tmp_path / "corpus")
    build(manifest, tmp_path / "one")
    manifest.write_text("\n".join(reversed(manifest.read_text().splitlines())) + "\n")
    build(manifest, tmp_path / "two")
    assert tree_sums(tmp_path / "one") == tree_sums(tmp_path / "two")


def test_every_segment_of_a_long_recording_is_cut_where_the_manifest_says(tmp_path):
    audio = sound(8, rate=22_050, seed=5)
    for suffix in ("wav", "flac"):
        extra = [
            {
                "audio": f"ron/long.{suffix}",
                "text": sentence(900 + n),
                "lang": "ron",
                "start": n * 0.9,
                "end": n * 0.9 + 1,
            }
            for n in range(8)
        ]
        folder = tmp_path / suffix
        manifest = write_corpus(folder / "corpus", utterances=5, extra=extra)
        soundfile.write(folder / "corpus" / "ron" / f"long.{suffix}", audio, 22_050, subtype="PCM_16")
        build(manifest, folder / "shards")
        segments = {u.text: u.audio for u in utterances_of(folder / "shards").values() if "long" in u.info["source"]}
        assert len(segments) == 8
        stored = np.round(audio * 32768) / 32768
        for number in range(8):
            first, last = round(number * 0.9 * 22_050), round((number * 0.9 + 1) * 22_050)
            expected = soxr.resample(stored[first:last].astype(np.float32), 22_050, 16_000, quality="HQ")
            assert np.abs(segments[sentence(900 + number)] / 32768 - expected).max() < 3e-4


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (22_050, 1), (8_000, 1), (44_100, 4)])
def test_recordings_of_any_rate_and_number_of_channels_become_16_khz_mono(rate, channels, tmp_path):
    times = np.arange(rate) / rate
    tone = 0.4 * np.sin(2 * np.pi * 440 * times)
    extra = [{"audio": "ron/tone.wav", "text": "ton", "lang": "ron", "split": "train"}]
    manifest = write_corpus(tmp_path / "corpus", utterances=4, extra=extra)
    soundfile.write(tmp_path / "corpus" / "ron" / "tone.wav", np.stack([tone] * channels, axis=1), rate)
    build(manifest, tmp_path / "shards")
    (audio,) = (u.audio / 32768 for u in utterances_of(tmp_path / "shards").values() if u.text == "ton")
    assert len(audio) == 16_000
    middle = slice(1000, 15_000)
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(audio[middle] - expected[middle]).max() < 5e-3


def test_what_cannot_be_trained_on_is_counted_by_reason_with_an_example(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "x").mkdir(parents=True)
    whole = folder / "x" / "whole.wav"
    recordings = {
        "short": (sound(0.1), 16_000),
        "long": (sound(3.5), 16_000),
        "silent": (np.zeros(16_000), 16_000),
        "slow": (sound(1, rate=6_000), 6_000),
        "dense": (sound(0.5), 16_000),
        "whole": (sound(2), 16_000),
    }
    for name, (audio, rate) in recordings.items():
        soundfile.write(folder / "x" / f"{name}.wav", audio, rate)
    (folder / "x" / "noise.wav").write_bytes(b"this is no recording")
    soundfile.write(folder / "x" / "cut.flac", sound(2), 16_000)
    flac = (folder / "x" / "cut.flac").read_bytes()
    (folder / "x" / "cut.flac").write_bytes(flac[: len(flac) // 2])
    texts = {"dense": "repetă " * 8, "short": "scurt", "long": "lung", "silent": "tăcere", "slow": "rar"}
    extra = [{"audio": f"x/{name}.wav", "text": text, "lang": "ron"} for name, text in texts.items()]
    extra += [{"audio": "x/noise.wav", "text": "zgomot", "lang": "ron"}]
    extra += [{"audio": "x/cut.flac", "text": "tăiat", "lang": "ron"}]
    for start, end, text in ((0, 9, "prea departe"), (1, 1, "nimic"), (-1, 1, "dinainte"), (0, 1, ""), (1, 2, "5 m²")):
        extra.append({"audio": "x/whole.wav", "text": text, "lang": "ron", "start": start, "end": end})
    manifest = write_corpus(folder, extra=extra)
    assert whole.is_file()
    options = BuildOptions(Limits(min_seconds=0.3, max_seconds=3.0))
    report = build_shards(plans_of(manifest), tmp_path / "shards", options, workers=1)
    drops = report.indexes["ron"]["drops"]
    assert {reason: entry["count"] for reason, entry in drops.items()} == {
        "empty": 1,
        "numbers": 1,
        "bad_segment": 3,
        "undecodable": 1,
        "cut_short": 1,
        "sample_rate": 1,
        "silent": 1,
        "too_short": 1,
        "too_long": 1,
        "more_labels_than_frames": 1,
    }
    assert "x/long.wav: 3.50 s, limit 3.0 s" in drops["too_long"]["examples"]
    assert len(utterances_of(tmp_path / "shards")) == 20
    assert json.loads((tmp_path / "shards" / "ron" / "index.json").read_text())["drops"] == drops


def test_the_vocabulary_comes_from_training_text_only(tmp_path):
    extra = [{"audio": "ron/clip000.wav", "text": "ßþ", "lang": "ron", "split": "dev", "start": 0, "end": 0.4}]
    build(write_corpus(tmp_path / "corpus", extra=extra), tmp_path / "shards")
    language = ShardIndex.load(str(tmp_path / "shards")).language("ron")
    train = {u.text for (_, split, _), u in utterances_of(tmp_path / "shards").items() if split == "train"}
    assert set(language.vocabulary.tokens[5:]) == set("".join(train)) - {" "}
    assert language.content["characters_not_in_train"]["dev"]["þ"] == 1


class Stop(BuildProgress):
    """Interrupts a build after some utterances."""

    def __init__(self, after):
        self.left = after

    def advance(self, utterances):
        self.left -= utterances
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_interrupted_build_gives_the_same_bytes_decoding_none_twice(tmp_path, monkeypatch):
    manifest = write_corpus(tmp_path / "corpus", utterances=24)
    build(manifest, tmp_path / "whole")
    options = BuildOptions(shard_utterances=5)
    for after in (0, 3, 7, 7):
        with pytest.raises(KeyboardInterrupt):
            build_shards(plans_of(manifest), tmp_path / "shards", options, workers=1, progress=Stop(after))
        assert not (tmp_path / "shards" / "ron").exists()
    decoded = []
    original = build_module.encode_recordings
    monkeypatch.setattr(
        build_module, "encode_recordings", lambda task, limits: decoded.extend(task) or original(task, limits)
    )
    build(manifest, tmp_path / "shards")
    assert tree_sums(tmp_path / "whole") == tree_sums(tmp_path / "shards")
    assert len(decoded) == 24 - 2 * 5
    assert not (tmp_path / "shards" / ".build" / "ron").exists()


def test_a_language_is_rebuilt_only_if_source_options_or_shards_change(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", languages=("ron", "ita"))
    options = BuildOptions(shard_utterances=5)
    assert build(manifest, tmp_path / "shards").reused == []
    assert build(manifest, tmp_path / "shards").reused == ["ita", "ron"]
    assert all(is_built(plan, tmp_path / "shards", options) for plan in plans_of(manifest))
    # the same number of bytes, another sound
    soundfile.write(tmp_path / "corpus" / "ron" / "clip003.wav", sound(0.8, seed=99), 16_000)
    os.utime(tmp_path / "corpus" / "ron" / "clip003.wav", (5, 5))
    before = tree_sums(tmp_path / "shards")
    assert build(manifest, tmp_path / "shards").reused == ["ita"]
    assert tree_sums(tmp_path / "shards") != before
    assert build(manifest, tmp_path / "shards", shard_utterances=6).reused == []
    next((tmp_path / "shards" / "ita").glob("train-*.tar")).unlink()
    assert build(manifest, tmp_path / "shards", shard_utterances=6).reused == ["ron"]
    manifest.write_text(manifest.read_text().replace("alpha", "alfa"))
    assert build(manifest, tmp_path / "shards", shard_utterances=6).reused == []


def test_a_language_with_nothing_left_fails_alone_and_leaves_nothing(tmp_path):
    extra = [
        {
            "audio": "ron/clip000.wav",
            "text": "prea mult text pentru atât de puțin sunet " * 3,
            "lang": "hun",
            "split": "train",
        }
    ]
    report = build(write_corpus(tmp_path / "corpus", extra=extra), tmp_path / "shards")
    assert "1 more_labels_than_frames" in report.failed["hun"].found
    assert list(report.indexes) == ["ron"]
    assert not (tmp_path / "shards" / "hun").exists()
    assert not (tmp_path / "shards" / ".build" / "hun").exists()


def test_two_builds_do_not_write_one_language(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", utterances=4)

    class Second(BuildProgress):
        def advance(self, utterances):
            build(manifest, tmp_path / "shards")

    with pytest.raises(ShardsError, match="another build is writing ron"):
        build_shards(plans_of(manifest), tmp_path / "shards", BuildOptions(), workers=1, progress=Second())


def test_tars_that_were_made_elsewhere_are_never_replaced(tmp_path):
    manifest = write_corpus(tmp_path / "corpus", utterances=4)
    tar = tmp_path / "shards" / "ron" / "train-000000.tar"
    tar.parent.mkdir(parents=True)
    tar.write_bytes(b"precious")
    failed = build(manifest, tmp_path / "shards").failed
    assert "contains files that 'shards build' did not write" in failed["ron"].found
    assert tar.read_bytes() == b"precious"
    assert os.listdir(tar.parent) == ["train-000000.tar"]
