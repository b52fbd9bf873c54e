"""Whose loss, weight, mask and seed an utterance of a mixed forward pass has."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mms_dist.training import passes
from mms_dist.training.gradients import GradientPass
from shards.schema import SAMPLE_RATE

SEED = 7
SLOTS = {"taa": 2, "tab": 0, "tac": 1}


class Told(GradientPass):
    """Notes its forward passes; an utterance's loss is its length in seconds, times its weight."""

    def __init__(self, forward_seconds: float) -> None:
        base = SimpleNamespace(device=torch.device("cpu"))
        model: Any = SimpleNamespace(base=base, bank=SimpleNamespace(slots=len(SLOTS)))
        super().__init__(model, SimpleNamespace(), forward_seconds=forward_seconds, seed=SEED)  # type: ignore[arg-type]
        self.weights: dict[str, set[float]] = {}
        self.passes: list[list[str]] = []
        self._builder.on_host = self._on_host  # type: ignore[method-assign]

    def _on_host(self, strips: Any, weights: Sequence[float], owners: Any) -> Any:
        (members,) = strips
        assert [owner.language for owner in owners] == [member.language for member in members]
        return SimpleNamespace(members=members, owners=owners, weights=weights, tensors={})

    def _forward_backward(self, prepared: Any, sums_S: Tensor) -> None:
        members, weights = prepared.host.members, prepared.host.weights
        self.passes.append([member.language for member in members])
        for member, owner, weight in zip(members, prepared.host.owners, weights, strict=True):
            self.weights.setdefault(member.language, set()).add(weight)
            sums_S[owner.slot] += len(member.audio) / SAMPLE_RATE * weight


def batch(language: str, seconds: Sequence[float], *, planned: int) -> Any:
    utterances = [SimpleNamespace(language=language, audio=np.zeros(int(each * SAMPLE_RATE))) for each in seconds]
    return SimpleNamespace(utterances=utterances, size=planned, request=SimpleNamespace(language=language))


def test_an_utterance_weighs_one_over_its_languages_planned_batch() -> None:
    told = Told(forward_seconds=20.0)
    batches = [
        batch("tab", [1.5, 3.5], planned=2),
        batch("tac", [], planned=3),
        batch("taa", [4.0, 1.0, 2.5], planned=4),
    ]
    owners: Any = {code: SimpleNamespace(language=code, slot=slot) for code, slot in SLOTS.items()}
    losses = told.accumulate(batches, owners)
    assert told.weights == {"taa": {1 / 4}, "tab": {1 / 2}}
    mixed = [each for each in told.passes if each != sorted(each)]
    assert mixed, f"a pass is not in the order of the languages: {told.passes}"
    assert losses.losses == pytest.approx({"taa": 7.5 / 4, "tab": 5.0 / 2})
    assert losses.audio_seconds == 12.5 and losses.padded_seconds >= 12.5


def test_an_utterance_has_the_spans_of_its_own_language() -> None:
    augment = SimpleNamespace(time_prob=0.1, time_length=4, feature_prob=0.2, feature_length=6)
    owner: Any = SimpleNamespace(settings=SimpleNamespace(augment=augment))
    assert passes._spans(owner) == passes.Spans(time_prob=0.1, time_length=4, channel_prob=0.2, channel_length=6)


def test_masks_are_keyed_by_the_seed_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def random_keys(members: Any, *, seed: int) -> Any:
        seeds.append(seed)
        raise InterruptedError

    monkeypatch.setattr(passes, "random_keys", random_keys)
    features: Any = SimpleNamespace(plan=lambda members: SimpleNamespace(frames_B=None))
    model: Any = SimpleNamespace(base=SimpleNamespace(device=torch.device("cpu")))
    through = GradientPass(model, features, forward_seconds=8.0, seed=SEED)
    with pytest.raises(InterruptedError):
        through._builder.on_host([], [], [])
    assert seeds == [SEED]
