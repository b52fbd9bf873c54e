"""Speed perturbation: drawn for an utterance alone, its length known beforehand, its transcript still fitting."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mms_dist.augment.kinds import WaveformAugmentation, augmentations
from mms_dist.augment.speed import Speed
from mms_dist.config import Augment, Config, parse_config
from mms_dist.data.augmented import RecordingAugmentation, cache_notes, fewest_samples, longest_seconds
from mms_dist.data.training_stream import training_stream
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import ConfigError
from shards.schema import SAMPLE_RATE, frames_of
from tests.training import toy_config
from tests.unit.data.test_training_stream import TABLE

FACTORS = (0.9, 1.0, 1.1)


def of(*factors: float, seed: int = 0) -> RecordingAugmentation:
    return RecordingAugmentation("ron", seed, (Speed(factors or FACTORS),))


def utterance(row: int) -> UtteranceId:
    return UtteranceId("ron", "train", row)


def stream(**sections: Any) -> Any:
    config = toy_config(Path("run"), Path("base"), Path("shards"), optim={"batch_seconds": 10.0}, **sections)
    return training_stream(config, SimpleNamespace(language="ron", table=lambda split: TABLE))  # type: ignore[arg-type]


def drawn(of: RecordingAugmentation, epoch: int, table: Any = TABLE) -> np.ndarray:
    return np.round(table.samples / of.samples(table, epoch), 2)


def test_each_factor_is_drawn_as_often_and_anew_in_every_epoch() -> None:
    first, second, other_seed = drawn(of(), 0), drawn(of(), 1), drawn(of(seed=1), 0)
    counts = Counter(first.tolist())
    assert set(counts) == set(FACTORS) and min(counts.values()) > 0.25 * len(TABLE)
    for other in (second, other_seed):
        assert 0.5 < (first != other).mean() < 0.8
    assert (first == drawn(of(), 0)).all()


def test_a_draw_depends_on_the_utterance_and_not_on_its_neighbours() -> None:
    some = TABLE.select(np.arange(7, len(TABLE), 3))
    assert (drawn(of(), 2, some) == drawn(of(), 2)[7::3]).all()


@pytest.mark.parametrize("factors", [FACTORS, (0.5, 2.0), (0.97,), (1.0, 1.37)])
def test_the_samples_known_beforehand_are_those_of_the_audio(factors: tuple[float, ...]) -> None:
    random, speed, seen = np.random.default_rng(1), of(*factors), set()
    for row in range(0, len(TABLE), 9):
        audio = random.integers(-9_000, 9_000, TABLE.samples[row]).astype(np.int16)
        changed, version = speed.apply(audio, utterance(row), 3, required_frames=int(TABLE.required_frames[row]))
        assert changed.dtype == np.int16 and len(changed) == speed.samples(TABLE, 3)[row]
        again, _ = speed.apply(audio, utterance(row), 3, required_frames=int(TABLE.required_frames[row]))
        assert (changed == again).all()
        assert (version == 0) == (changed is audio)
        seen.add(version)
    assert len(seen) == len(factors) == speed.versions


def test_a_faster_recording_is_shorter_and_higher() -> None:
    tone = (8_000 * np.sin(2 * np.pi * 400 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)
    for factor in (0.8, 1.25):
        changed, _ = of(factor).apply(tone, utterance(0), 0, required_frames=1)
        spectrum = np.abs(np.fft.rfft(changed.astype(float)))
        heard = spectrum.argmax() * SAMPLE_RATE / len(changed)
        assert heard == pytest.approx(400 * factor, rel=0.01)
        assert len(changed) == round(SAMPLE_RATE / factor)
        assert changed[1_000:-1_000].std() == pytest.approx(tone.std(), rel=0.02)


def test_frames_always_suffice_for_the_transcript() -> None:
    tight = replace(TABLE, frames=frames_of(TABLE.samples), required_frames=frames_of(TABLE.samples))
    for epoch in range(3):
        samples = of(0.9, 1.0, 1.1).samples(tight, epoch)
        assert (frames_of(samples) >= tight.required_frames).all()
        assert set(drawn(of(0.9, 1.0, 1.1), epoch, tight).tolist()) == {0.9, 1.0}
    assert (of(1.1, 1.5).samples(tight, 0) == tight.samples).all(), "no factor fits, so nothing is changed"
    audio = np.ones(int(tight.samples[0]), dtype=np.int16)
    changed, version = of(1.1).apply(audio, utterance(0), 0, required_frames=int(tight.required_frames[0]))
    assert changed is audio and version == 0


def test_the_fewest_samples_of_frames_make_just_them() -> None:
    for frames in (1, 2, 3, 50, 999):
        fewest = int(fewest_samples(np.array([frames]))[0])
        assert frames_of(fewest) == frames and frames_of(fewest - 1) == frames - 1


def test_batches_hold_the_configured_seconds_of_the_changed_audio() -> None:
    plain, slow = stream(), stream(augment={"speed": [0.5]})
    assert slow.samples(0).sum() == pytest.approx(2 * plain.samples(0).sum(), rel=1e-3)
    seconds = [slow.samples(0)[batch].sum() / SAMPLE_RATE for batch in slow.batches(0)]
    assert np.mean(seconds) == pytest.approx(10.0, rel=0.1)
    assert sorted(np.concatenate(slow.batches(0)).tolist()) == list(range(len(TABLE)))


def test_without_speed_plans_and_fingerprints_are_those_of_before() -> None:
    plain, one = stream(), stream(augment={"speed": None})
    assert plain.samples(0) is TABLE.samples and plain.fingerprint == one.fingerprint
    masked = stream(augment={"time_prob": 0.5})
    assert masked.fingerprint == plain.fingerprint
    assert plain.fingerprint != stream(augment={"speed": FACTORS}).fingerprint
    assert not augmentations(Augment(), WaveformAugmentation)


def test_the_longest_recording_is_one_played_slowly() -> None:
    longest = TABLE.samples.max() / SAMPLE_RATE
    assert longest_seconds(TABLE, Augment()) == longest
    assert longest_seconds(TABLE, Augment(speed=(0.8, 1.1))) == pytest.approx(longest / 0.8, rel=1e-4)


def test_the_cache_is_told_of_when_recordings_have_versions() -> None:
    assert [*cache_notes([Augment(), Augment()])] == []
    (note,) = cache_notes([Augment(), Augment(speed=FACTORS)])
    assert note == "of up to 3 versions of a recording are cached, each when it first comes"


def read(text: str | None, **more: Any) -> Config:
    return parse_config({"augment": {}, **more}, [] if text is None else ["--augment.speed", text])


def test_speeds_are_read_from_flags_and_files_and_per_language() -> None:
    assert read(None).augment.speed is None
    assert read("0.9,1.0,1.1").augment.speed == FACTORS
    own = read("null", languages={"ron": {"augment": {"speed": [0.9, 1]}}})
    assert own.augment.speed is None and own.for_language("ron").augment.speed == (0.9, 1.0)
    assert [*own.to_dict()["augment"]] == ["time_prob", "time_length", "feature_prob", "feature_length", "speed"]


@pytest.mark.parametrize("wrong", ["[]", "0.9,0.9", "0.1", "3", "fast", "nan"])
def test_wrong_speeds_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"augment\.speed"):
        read(wrong)
