"""What passes send to a GPU is foretold, so that memory for them is put aside before anything else takes it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.config import Adapter, Augment
from mms_dist.data.batch import FeatureKey, Utterance
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.features.feature_source import FeatureSource
from mms_dist.features.feature_store import FeatureStore
from mms_dist.hardware.pinned_memory import pass_bytes
from mms_dist.model.adapter import RowLayout
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.routed import RoutedModel
from mms_dist.training.packed_passes import PackedPassBuilder
from mms_dist.training.passes import PassBuilder
from shards.schema import SAMPLE_RATE, frames_of
from tests.crossings import without_values

SECONDS, CHANNELS = 80.0, 512
OWNER: Any = SimpleNamespace(
    language="taa", slot=0, settings=SimpleNamespace(augment=Augment(time_prob=0.2), adapter=Adapter(dropout=0.1))
)


def utterances(shortest: float, longest: float) -> list[Utterance]:
    """As much as two passes hold."""
    random = np.random.default_rng(0)
    found: list[Utterance] = []
    while sum(len(each.audio) for each in found) < 2 * SECONDS * SAMPLE_RATE:
        samples, row = int(random.uniform(shortest, longest) * SAMPLE_RATE), len(found)
        audio, labels = np.zeros(samples, np.int16), np.full(int(15 * samples / SAMPLE_RATE), 5, np.int32)
        found.append(
            Utterance(
                id=UtteranceId("taa", "train", row),
                key="a",
                epoch=0,
                audio=audio,
                labels=labels,
                text="",
                frames=frames_of(samples),
            )
        )
    return found


@pytest.mark.parametrize("builder_class", [PassBuilder, PackedPassBuilder])
@pytest.mark.parametrize("cached", [None, 0.0, 0.5, 1.0])
@pytest.mark.parametrize(("shortest", "longest"), [(1.0, 1.5), (1.0, 12.0)])
def test_what_a_pass_sends_is_no_more_than_foretold(
    small_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    builder_class: type[PassBuilder],
    cached: float | None,
    shortest: float,
    longest: float,
) -> None:
    members, sent = utterances(shortest, longest), []

    def cached(_: FeatureStore, key: FeatureKey) -> Tensor | None:
        row = key.utterance.row
        is_cached = row % 2 == 0 if cached == 0.5 else bool(cached)
        return torch.zeros(members[row].frames, CHANNELS, dtype=torch.bfloat16) if is_cached else None

    monkeypatch.setattr(FeatureStore, "get", cached)
    monkeypatch.setattr(FeatureStore, "reserve", lambda *_: None)
    base = FrozenBase.load(str(small_base), dtype=torch.float32)
    bank = AdapterBank(RowLayout(len(base.layers), base.hidden, 4), slots=1, largest_vocabulary=9)
    bank.vocabulary_sizes = [9]
    model = without_values(RoutedModel(base, bank))
    features = FeatureSource(model.base, cache_gib=1.0)
    builder = builder_class(model, features, seed=0, capacity=int(SECONDS * SAMPLE_RATE), forward_cost=13 * SAMPLE_RATE)
    told = pass_bytes(SECONDS, channels=CHANNELS, feature_bytes=0 if cached is None else 2)
    for each in builder.passes(members):
        strips = [[members[item] for item in strip] for strip in each]
        count = sum(map(len, strips))
        tensors = builder.on_host(strips, [1.0] * count, [OWNER] * count).tensors
        sent.append(sum(tensor.nbytes for tensor in tensors.values()))
    assert max(sent) <= told
    assert cached == 0.5 or cached == 0.0 or max(sent) > told / 2, "and not much less"
