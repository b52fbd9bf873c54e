"""What the cache of front-end features gives back is what was computed for that very utterance, by itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.data.batch import Utterance
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.features.feature_source import FeatureSource
from shards.schema import frames_of

CHANNELS = 4
BYTES_PER_FRAME = 4 * CHANNELS


class Base:
    """A front end that tells audio apart: each frame holds sums of the audio that it sees."""

    feature_channels = CHANNELS
    dtype = torch.float32

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.calls: list[tuple[int, ...]] = []

    def features(self, audio_BN: Tensor) -> Tensor:
        self.calls.append(tuple(audio_BN.shape))
        frames = frames_of(audio_BN.shape[1])
        sums_BT = torch.stack([audio_BN[:, 320 * t : 320 * t + 400].sum(1) for t in range(frames)], dim=1)
        return torch.stack([sums_BT * (channel + 1) for channel in range(CHANNELS)], dim=2)


def utterance(language: str, split: str, row: int, samples: int = 4_000, epoch: int = 0) -> Utterance:
    audio = np.random.default_rng([ord(language[0]), ord(split[0]), row]).integers(-9_000, 9_000, samples)
    labels = np.array([5, 6], dtype=np.int32)
    where = UtteranceId(language, split, row)
    return Utterance(
        id=where,
        key="000000",
        epoch=epoch,
        audio=audio.astype(np.int16),
        labels=labels,
        text="ab",
        frames=frames_of(samples),
    )


def features_of(source: FeatureSource, *utterances: Utterance) -> list[Tensor]:
    """Of each utterance, without padding."""
    features_BTC = source.features(utterances)
    return [features_TC[: item.frames] for features_TC, item in zip(features_BTC, utterances, strict=True)]


def source_of(base: Base, *, frames: int | None = None) -> FeatureSource:
    """With room for so many frames; None: for as many as come."""
    cache_gib = 1.0 if frames is None else frames * BYTES_PER_FRAME / (1 << 30)
    anything: Any = base
    return FeatureSource(anything, cache_gib=cache_gib)


def alone(item: Utterance) -> Tensor:
    return features_of(source_of(Base()), item)[0]


EVERYTHING = [
    utterance(language, split, row, 4_000 + 400 * row)
    for language in ("ron", "ita")
    for split in ("train", "dev", "test")
    for row in (0, 1, 11)
]
"""All of one key."""


def test_utterances_of_one_key_are_told_apart_by_language_split_and_row() -> None:
    source = source_of(base := Base())
    expected = [alone(item) for item in EVERYTHING]
    for _ in range(2):
        assert all(map(torch.equal, features_of(source, *EVERYTHING), expected))
        for item, features_TC in zip(EVERYTHING, expected, strict=True):
            assert torch.equal(features_of(source, item)[0], features_TC)
    assert len(base.calls) == len(EVERYTHING)  # each was computed once


def test_cached_features_do_not_depend_on_the_batch_that_computed_them() -> None:
    short, long = utterance("ron", "train", 0, 1_000), utterance("ron", "train", 1, 9_000)
    together, apart = source_of(base := Base()), source_of(Base())
    features_of(together, short, long)
    assert base.calls == [(1, 1_000), (1, 9_000)]  # without the padding
    assert torch.equal(features_of(together, short)[0], features_of(apart, short)[0])
    assert features_of(together, short)[0].shape == (frames_of(1_000), CHANNELS)


def test_another_epoch_of_an_utterance_has_the_features_of_the_first() -> None:
    source = source_of(base := Base())
    first = features_of(source, utterance("ron", "train", 3))[0]
    assert torch.equal(features_of(source, utterance("ron", "train", 3, epoch=5))[0], first)
    assert len(base.calls) == 1


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_the_cache_keeps_to_its_budget_and_misses_are_computed(room: int) -> None:
    items = [utterance("ron", "train", row) for row in range(4)]
    source = source_of(base := Base(), frames=room * items[0].frames + 1)
    for _ in range(3):
        assert all(map(torch.equal, features_of(source, *items), [alone(item) for item in items]))
    assert len(base.calls) == 4 + 2 * (4 - room)  # the first `room` of them are cached


def test_a_language_that_left_frees_its_room_and_no_other_does() -> None:
    ron = [utterance("ron", split, 0) for split in ("train", "dev")]
    ita, ukr = utterance("ita", "train", 0), utterance("ukr", "train", 0)
    source = source_of(base := Base(), frames=3 * ita.frames)
    features_of(source, *ron, ita)
    features_of(source, ukr)
    assert len(base.calls) == 4
    source.forget("ron")
    features_of(source, ita, ukr, *ron)  # ukr is computed anew and takes room, as does the first of ron
    assert len(base.calls) == 7
    features_of(source, ita, ukr, ron[0])
    assert len(base.calls) == 7
    features_of(source, ron[1])
    assert len(base.calls) == 8


def test_a_language_with_other_recordings_gets_no_old_features() -> None:
    source = source_of(Base())
    before = utterance("ron", "train", 0)
    features_of(source, before)
    source.forget("ron")
    after = Utterance(
        id=before.id,
        key=before.key,
        epoch=0,
        audio=before.audio[::-1].copy(),
        labels=before.labels,
        text="ba",
        frames=before.frames,
    )
    assert torch.equal(features_of(source, after)[0], alone(after))
    assert not torch.equal(alone(after), alone(before))


def test_without_a_cache_a_batch_goes_through_the_front_end_at_once() -> None:
    anything: Any = (base := Base())
    source = FeatureSource(anything, cache_gib=0.0)
    items = [utterance("ron", "train", 0, 1_000), utterance("ron", "train", 1, 9_000)]
    for _ in range(2):
        features_of(source, *items)
    assert base.calls == [(2, 9_000)] * 2


def test_audio_that_was_changed_is_not_given_the_features_of_the_recording() -> None:
    source = source_of(base := Base())
    plain = utterance("ron", "train", 0)
    louder = replace(plain, audio=plain.audio // 2, waveform=17)
    other = replace(plain, audio=plain.audio[::-1].copy(), waveform=18)
    for _ in range(2):
        found = features_of(source, plain, louder, other)
        assert all(map(torch.equal, found, [alone(plain), alone(louder), alone(other)]))
    assert len(base.calls) == 3


def test_features_of_a_batch_are_cached_without_padding() -> None:
    """As on a GPU."""
    items = [utterance("ron", "train", row, 4_000 + 700 * row) for row in range(4)]
    anything: Any = (base := Base())
    source = FeatureSource(anything, cache_gib=1.0, one_by_one=False)
    for some in (items[1:3], items, items[::-1], items[:1]):
        for found, item in zip(features_of(source, *some), some, strict=True):
            torch.testing.assert_close(found, alone(item))
    assert [shape[0] for shape in base.calls] == [2, 2]


@pytest.mark.parametrize("known", [1, 2])
def test_cached_and_computed_features_keep_their_places_in_a_pass(known: int) -> None:
    items = [utterance("ron", "train", row, 4_000 + 700 * row) for row in range(4)]
    source = source_of(base := Base())
    features_of(source, *items[1 : 1 + known])
    assert all(map(torch.equal, features_of(source, *items), [alone(item) for item in items]))
    assert len(base.calls) == 4
