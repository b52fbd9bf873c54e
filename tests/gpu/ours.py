"""All that the suite knows of the training system's inside: a round of several languages on one base.

Legend: S slots, R row length.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from mms_dist.config import Adapter, Augment, Optim
from mms_dist.data.batch import LoadedBatch
from mms_dist.features.feature_source import FeatureSource
from mms_dist.hardware.resolve import FORWARD_COST_SECONDS
from mms_dist.model import transfer
from mms_dist.model.adapter import RowLayout, initial_tensors
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.compiled import Compilation, compile_layers
from mms_dist.model.optimizer import RowAdamW, RowStep
from mms_dist.model.routed import RoutedModel
from mms_dist.training.gradients import GradientPass, RoundLosses
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


def settings_of(dtype: torch.dtype, device: torch.device, *, compiled: bool, **common: Any) -> list[Setting]:
    """Every way to compute a round that the product has in this precision on this device; with compiled layers too, if
    there is the time to compile them."""
    padded = [Setting(**common), Setting(checkpointing=True, **common)]
    padded += [Setting(compiled=True, **common)] if compiled else []
    packed = [Setting("packed", **common), Setting("packed", checkpointing=True, **common)]
    return padded + (packed if can_pack(dtype, device) else [])


def speed_settings(device: torch.device, *, compiled: bool) -> list[Setting]:
    """The ways to compute a round that may be the fastest on this device."""
    seconds, dtype = (320.0, torch.bfloat16) if device.type == "cuda" else (8.0, torch.float32)
    kinds = ["padded"] if compiled or not can_pack(dtype, device) else ["padded", "packed"]
    return [Setting(kind, compiled=compiled, forward_seconds=seconds) for kind in kinds]


def can_pack(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether packed passes can be computed: on a GPU by flash kernels alone, which take half precision."""
    if device.type == "cpu":
        return True
    return dtype in (torch.bfloat16, torch.float16) and torch.cuda.get_device_capability(device) >= (8, 0)


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
        self.base, self.bank, self.setting = base, bank, setting
        self._cost_samples = int(FORWARD_COST_SECONDS["gpu" if base.device.type == "cuda" else "cpu"] * SAMPLE_RATE)
        self.compilation: Compilation | None = None
        if setting.compiled:
            self.compilation = compile_layers(base, "inductor" if base.device.type == "cuda" else "eager")
        self.model = RoutedModel(base, bank, activation_checkpointing=setting.checkpointing)
        self.through = GradientPass(
            self.model,
            FeatureSource(base, cache_gib=setting.feature_cache_gib),
            forward_seconds=setting.forward_seconds,
            forward_cost=self._cost_samples,
            seed=0,
            packed=setting.attention == "packed",
        )
        self._adam = RowAdamW(bank)
        self._step = 0
        one = SimpleNamespace(adapter=Adapter(dropout=setting.dropout), augment=Augment(time_prob=setting.time_prob))
        self._trainees: Any = {name(slot): SimpleNamespace(slot=slot, settings=one) for slot in range(bank.slots)}

    def accumulate(self, batches: Sequence[LoadedBatch]) -> RoundLosses:
        """The passes of a round; gradients are in the bank afterwards.

        Raises:
            RuntimeError: layers are compiled, and a pass fits none of the graphs. The product computes such a pass with
                the layers as they are written, and nobody would see it but by the clock.
        """
        strict = torch.compiler.set_stance("fail_on_recompile") if self.setting.compiled else contextlib.nullcontext()
        with strict:
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
        norms = self._adam.step_rows([RowStep(slot, self._step, Optim()) for slot in slots])
        transfer.numbers(losses.sums_S, norms)  # the one read of a round
        return losses

    @property
    def waited_seconds(self) -> float:
        """How long passes were waited for, so far, that the host had not prepared in time."""
        return self.through.waited_seconds

    def close(self) -> None:
        """End its threads."""
        self.through.close()

    def passes(self, batches: Sequence[LoadedBatch]) -> tuple[int, float]:
        """Passes that a round of these is cut into, and the share of them that is padding; computes the round."""
        count, compute = 0, self.model.device_logits

        def counted(batch: Any) -> Tensor:
            nonlocal count
            count += 1
            return compute(batch)

        with mock.patch.object(self.model, "device_logits", counted):
            losses = self.accumulate(batches)
        self.bank.grads.zero_()
        return count, 1 - losses.audio_seconds / losses.padded_seconds

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
