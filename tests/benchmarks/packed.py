"""Packed passes against padded ones on a CPU: forward and backward over a round, features given.

The round is one of tests/benchmarks/padding.py. On a CPU, what packing saves in padding it loses in filler (passes are
small there) and in one attention an utterance; `model.attention: auto` is decided by this.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mms_dist.config import Adapter, Augment
from mms_dist.data.batch import BatchRequest, LoadedBatch, Utterance
from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.features.feature_source import FeaturePlan
from mms_dist.features.packed_features import PackedFeaturePlan, plan_packed
from mms_dist.model.base import DTYPES, FrozenBase
from mms_dist.training.gradients import GradientPass
from shards.schema import SAMPLE_RATE, frames_of
from tests.benchmarks.bases import random_base, routed_model
from tests.benchmarks.measure import Measurement, alternate, median_ratio
from tests.benchmarks.padding import planned_rounds

FORWARD_SECONDS = 32.0
"""The default on a CPU."""
LANGUAGES = 2


class RandomFeatures:
    """The front end's output, made up once an utterance."""

    def __init__(self, base: FrozenBase) -> None:
        self._base, self._made = base, dict[UtteranceId, Tensor]()

    def plan(self, members: Sequence[Utterance]) -> FeaturePlan:
        features_BTC = torch.nn.utils.rnn.pad_sequence([self._one(member) for member in members], batch_first=True)
        frames_B = torch.tensor([member.frames for member in members])
        return FeaturePlan(members, (), frames_B, {"cached": features_BTC})

    def plan_packed(self, members: Sequence[Utterance], places: int) -> PackedFeaturePlan:
        frames_B = np.array([member.frames for member in members])
        known = {place: self._one(member) for place, member in enumerate(members)}
        return plan_packed(members, frames_B, known, places=places, separately=True)

    def on_device(self, _: Any, tensors: Mapping[str, Tensor]) -> Tensor:
        return tensors["cached"]

    packed_on_device = on_device

    def _one(self, member: Utterance) -> Tensor:
        if member.id not in self._made:
            self._made[member.id] = torch.randn(member.frames, self._base.config.conv_dim[-1]).to(self._base.dtype)
        return self._made[member.id]


def run(*, quick: bool) -> Iterator[Measurement]:
    """The shipped base's shapes and those of 300M."""
    cases = [("tiny", None, "float32"), ("tiny", None, "bfloat16"), ("300m", 4, "float32"), ("300m", 4, "bfloat16")]
    for shape, layers, dtype in cases[:1] if quick else cases:
        yield _measure(shape, layers, dtype, seconds=10.0 if quick else 80.0, repeats=1 if quick else 5)


def _measure(shape: str, layers: int | None, dtype: str, *, seconds: float, repeats: int) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        base = FrozenBase.load(str(random_base(Path(folder), shape, layers=layers)), dtype=DTYPES[dtype])
    model = routed_model(base, [30 + language for language in range(LANGUAGES)])
    settings = SimpleNamespace(augment=Augment(), adapter=Adapter())
    active_languages: dict[str, Any] = {
        f"language {slot}": SimpleNamespace(language=f"language {slot}", slot=slot, settings=settings)
        for slot in range(LANGUAGES)
    }
    batches = [_batch(language, slot, seconds) for slot, language in enumerate(active_languages)]
    features: Any = RandomFeatures(base)
    sides = {
        name: GradientPass(model, features, forward_seconds=FORWARD_SECONDS, seed=0, packed=name == "packed")
        for name in ("packed", "padded")
    }
    timings = alternate(
        {name: lambda side=side: side.accumulate(batches, active_languages) for name, side in sides.items()},
        repeats=repeats,
    )
    depth = f", {layers} layers" if layers else ""
    return Measurement(
        "packed",
        f"{shape} shapes{depth}, {dtype}, {LANGUAGES} languages x {seconds:g} s, passes of {FORWARD_SECONDS:g} s",
        timings["packed"].median,
        timings["padded"].median,
        "s",
        median_ratio(timings["packed"], timings["padded"]),
        "time with packed passes / time with padded ones",
    )


def _batch(language: str, number: int, seconds: float) -> LoadedBatch:
    (samples,) = planned_rounds(number + 1, rounds=1)
    utterances, taken = [], 0
    for row, count in enumerate(reversed(samples.tolist())):
        if taken and taken + count > seconds * SAMPLE_RATE:
            break
        taken += count
        named, labels = UtteranceId(language, "train", row), np.arange(1 + count // 2_500, dtype=np.int32) % 20 + 5
        utterances.append(
            Utterance(
                id=named,
                key="",
                epoch=0,
                audio=np.zeros(count, np.int16),
                labels=labels,
                text="",
                frames=frames_of(count),
            )
        )
    return LoadedBatch(BatchRequest(language, Position()), utterances)
