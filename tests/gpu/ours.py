"""All that the suite knows of the training system's inside: a round of several languages on one base.

Legend: S slots, R row length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from mms_dist.config import Adapter, Augment, Optim
from mms_dist.data.batch import LoadedBatch
from mms_dist.data.packer import pack
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.initial import initial_tensors
from mms_dist.model.layout import RowLayout
from mms_dist.model.routed import RoutedModel
from mms_dist.training.devices import compute_as_asked
from mms_dist.training.features import FeatureSource
from mms_dist.training.gradients import GradientPass, RoundLosses
from mms_dist.training.optimizer import RowAdamW, RowStep
from shards.schema import SAMPLE_RATE
from tests.gpu.speech import name

DIM = 16


@dataclass(frozen=True)
class Setting:
    """One way to compute a round: what `model.*` and `rounds.*` say of it."""

    attention: str = "padded"
    compiled: bool = False
    checkpointing: bool = False
    forward_seconds: float = 320.0
    feature_cache_gib: float = 0.0
    dropout: float = 0.0
    time_prob: float = 0.05

    def __str__(self) -> str:
        words = [self.attention]
        words += ["compiled"] if self.compiled else []
        words += ["checkpointed"] if self.checkpointing else []
        words += [f"cache {self.feature_cache_gib:g} GiB"] if self.feature_cache_gib else []
        return ", ".join([*words, f"{self.forward_seconds:g} s"])

    def exact(self) -> "Setting":
        """Without anything random."""
        return replace(self, dropout=0.0, time_prob=0.0)


def settings_of(**common: Any) -> list[Setting]:
    """Every way to compute a round that the product has on this device."""
    return [Setting(**common), Setting(checkpointing=True, **common)]


def speed_settings(device: torch.device, *, compiled: bool) -> list[Setting]:
    """The ways to compute a round that may be the fastest on this device."""
    return [] if compiled else [Setting(forward_seconds=320.0 if device.type == "cuda" else 8.0)]


def adapters(base: FrozenBase, vocabularies: Sequence[int], *, noise: float = 0.0) -> AdapterBank:
    """A bank with a language for each vocabulary size, the same numbers on every device and in every precision."""
    layout = RowLayout(len(base.layers), base.hidden, DIM)
    dtype = torch.promote_types(base.dtype, torch.float32)
    bank = AdapterBank(
        layout, slots=len(vocabularies), largest_vocabulary=max(vocabularies), dtype=dtype, device=base.device
    )
    for slot, size in enumerate(vocabularies):
        random = torch.Generator().manual_seed(slot)
        tensors = initial_tensors(layout, size, scheme="mms", seed=0, language=name(slot))
        bank.load(slot, {key: t + noise * torch.randn(t.shape, generator=random) for key, t in tensors.items()})
    return bank


class Joint:
    """A round of all languages of a bank, as training does it."""

    def __init__(self, base: FrozenBase, bank: AdapterBank, setting: Setting) -> None:
        compute_as_asked(base.device)
        self.base, self.bank, self.setting = base, bank, setting
        self.model = RoutedModel(base, bank, activation_checkpointing=setting.checkpointing)
        self.through = GradientPass(
            self.model,
            FeatureSource(base, cache_gib=setting.feature_cache_gib),
            forward_seconds=setting.forward_seconds,
            seed=0,
        )
        self._adam = RowAdamW(bank)
        self._step = 0
        one = SimpleNamespace(adapter=Adapter(dropout=setting.dropout), augment=Augment(time_prob=setting.time_prob))
        self._trainees: Any = {name(slot): SimpleNamespace(slot=slot, settings=one) for slot in range(bank.slots)}

    def accumulate(self, batches: Sequence[LoadedBatch]) -> RoundLosses:
        """The passes of a round; gradients are in the bank afterwards."""
        return self.through.accumulate(batches, self._trainees)

    def gradients(self, batches: Sequence[LoadedBatch]) -> tuple[dict[str, float], Tensor]:
        """Losses by language, and gradients [S, R]; the bank's own are zero again."""
        self.bank.grads.zero_()
        losses = self.accumulate(batches).losses
        grads_SR = self.bank.grads.clone()
        self.bank.grads.zero_()
        return losses, grads_SR

    def round(self, batches: Sequence[LoadedBatch]) -> RoundLosses:
        """The passes and the optimizer step of every language in them."""
        losses = self.accumulate(batches)
        self._step += 1
        slots = [self._trainees[batch.request.language].slot for batch in batches]
        self._adam.step([RowStep(slot, self._step, Optim()) for slot in slots])
        return losses

    def passes(self, batches: Sequence[LoadedBatch]) -> int:
        """Passes that a round of these is cut into."""
        lengths = [len(utterance.audio) for batch in batches for utterance in batch.utterances]
        return len(pack(lengths, capacity=int(self.setting.forward_seconds * SAMPLE_RATE)))

    @contextmanager
    def poisoned(self, language: str) -> Iterator[None]:
        """Inside, one language's adapter gives NaN, and so all frames of its utterances are NaN from there on."""
        row_R = self.bank.row(self._trainees[language].slot)
        kept_R = row_R.clone()
        row_R.fill_(float("nan"))
        try:
            yield
        finally:
            row_R.copy_(kept_R)
