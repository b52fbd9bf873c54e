"""What a forward pass is given of each utterance: its language's slot, dropout and SpecAugment, and its own draws."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mms_dist.augment.masks import draw_masks
from mms_dist.augment.spec_augment import SpecAugment
from mms_dist.config import Adapter, Augment
from mms_dist.data.batch import BatchRequest, LoadedBatch, Utterance
from mms_dist.data.randomness import random_key
from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.features.feature_source import FeaturePlan
from mms_dist.model.routed import DeviceInput
from mms_dist.training.gradients import GradientPass
from shards.schema import frames_of

HIDDEN, TOKENS, SEED = 24, 8, 5
AUGMENTS = {
    "ron": Augment(time_prob=0.4, time_length=3, feature_prob=0.0, feature_length=20),
    "ukr": Augment(time_prob=0.0, time_length=12, feature_prob=0.5, feature_length=2),
}
DROPOUTS, SLOTS = {"ron": 0.0, "ukr": 0.25}, {"ron": 3, "ukr": 1}


class Model:
    """Notes what it is given; every token is as probable as any other."""

    base = SimpleNamespace(device=torch.device("cpu"), hidden=HIDDEN, dtype=torch.float32)
    bank = SimpleNamespace(slots=4, vocabulary_sizes=[0, 6, 0, TOKENS])

    def __init__(self) -> None:
        self.given: list[DeviceInput] = []

    def device_logits(self, batch: DeviceInput) -> Tensor:
        self.given.append(batch)
        return torch.zeros(*batch.features.shape[:2], TOKENS, requires_grad=True)


class Features:
    """Zeros."""

    def plan(self, members: Any) -> FeaturePlan:
        frames_B = torch.tensor([member.frames for member in members])
        return FeaturePlan(members, [], frames_B, {"features": torch.zeros(len(members), int(frames_B.max()), 4)})

    def on_device(self, plan: FeaturePlan, tensors: Any) -> Tensor:
        return tensors["features"]


def utterance(language: str, row: int, samples: int, epoch: int = 2) -> Utterance:
    audio, labels = np.arange(samples, dtype=np.int16), np.array([5, 6], dtype=np.int32)
    return Utterance(
        id=UtteranceId(language, "train", row),
        key="key",
        epoch=epoch,
        audio=audio,
        labels=labels,
        text="ab",
        frames=frames_of(samples),
    )


def active(language: str) -> Any:
    settings = SimpleNamespace(augment=AUGMENTS[language], adapter=Adapter(dropout=DROPOUTS[language]))
    return SimpleNamespace(language=language, slot=SLOTS[language], settings=settings)


def batch(language: str, *utterances: Utterance, planned: int) -> LoadedBatch:
    return LoadedBatch(BatchRequest(language, Position()), list(utterances), planned=planned)


def test_an_utterance_has_its_languages_settings_and_its_own_draws() -> None:
    model = Model()
    gradients = GradientPass(model, Features(), forward_seconds=32.0, seed=SEED)  # type: ignore[arg-type]
    members = [utterance("ron", 7, 16_000), utterance("ukr", 7, 17_000), utterance("ron", 8, 15_000)]
    first, second, third = members
    batches = [batch("ron", first, third, planned=4), batch("ukr", second, planned=1)]
    result = gradients.accumulate(batches, {code: active(code) for code in SLOTS})

    (given,) = model.given
    passed = [first, third, second]
    keys = [random_key(SEED, each.id, each.epoch) for each in passed]
    frames = [each.frames for each in passed]
    spans = [
        (SpecAugment(own.time_prob, own.time_length, own.feature_prob, own.feature_length),)
        for own in (AUGMENTS[each.language] for each in passed)
    ]
    time_BT, channel_BH = draw_masks(keys, frames, spans, longest=max(frames), hidden=HIDDEN)
    assert given.keys_B is not None and given.keys_B.tolist() == keys
    assert given.frames.valid_BT.sum(1).tolist() == frames
    assert given.slots_U[given.owner_B].tolist() == [SLOTS[each.language] for each in passed]
    assert given.sizes_U.tolist() == [6, TOKENS] and given.largest_vocabulary == TOKENS
    assert given.dropout_B is not None and given.dropout_B.tolist() == [DROPOUTS[each.language] for each in passed]
    assert time_BT is not None and given.time is not None and given.time.equal(time_BT)
    assert channel_BH is not None and given.channel_BH is not None and given.channel_BH.equal(channel_BH)
    assert [bool(row.any()) for row in time_BT] == [each.language == "ron" for each in passed]
    assert [bool(row.any()) for row in channel_BH] == [each.language == "ukr" for each in passed]

    # Labels 5 6 in T frames of 8 tokens alike: of (T + 2 choose 4) paths each has 8^-T. Weights are of the whole batch.
    for language, own, planned in (("ron", [first, third], 4), ("ukr", [second], 1)):
        losses = [(each.frames * math.log(TOKENS) - math.log(math.comb(each.frames + 2, 4))) / 2 for each in own]
        assert math.isclose(result.losses[language], sum(losses) / planned, rel_tol=1e-5)
    assert result.audio_seconds == 3.0
    assert math.isclose(result.padded_seconds, 3 * 17_000 / 16_000)
