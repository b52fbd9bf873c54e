"""The routed forward pass: one frozen encoder, each utterance through its own language's adapter and head.

Legend: B utterances, U languages among them, T frames, C front-end channels, H hidden size, D bottleneck, W its width
with the added columns, L layers, V vocabulary. A tensor without a suffix has the shape of the pass's frames, [..., H]
or [..., W].
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mms_dist.model import transfer
from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.dropout import DropoutMasks
from mms_dist.model.folded_adapter import PlainNorm, fold, heads, width_of
from mms_dist.model.packed_frames import PackedFrames
from mms_dist.model.padded_frames import PaddedFrames

_Adapter = tuple[Tensor, Tensor, Tensor]
"""Down projection [., W, H] (transposed), its bias [., 1, W] and up projection [., W, H] of a layer: one per language,
or as returned by the frames' `gather`."""


@dataclass(frozen=True)
class ModelInput:
    """The input of one forward pass, described on the CPU: padded utterances of any languages.

    features_BTC are the front end's output, on the model's device; everything else is on the CPU. time_BT and
    channel_BH are SpecAugment masks, drawn per utterance (None if none were drawn). keys_B and dropout_B are given if
    any utterance has dropout. slots_B is the bank row of each utterance.
    """

    features_BTC: Tensor
    frames_B: Tensor
    slots_B: Tensor
    keys_B: Tensor | None = None
    time_BT: Tensor | None = None
    channel_BH: Tensor | None = None
    dropout_B: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class DeviceInput:
    """The input of one forward pass, entirely on the device, so that the pass never waits for the device.

    Attributes:
        frames: how the utterances' frames are laid out in the pass's tensors.
        features: the front end's output, [B, T, C], or [F, C] as rows that the frames look up.
        slots_U: bank rows of the languages in the pass, int64; each language once, or once per strip.
        owner_B: index into slots_U of each utterance's language, or of each block's strip, int64.
        sizes_U: vocabulary size of each of those languages, int64.
        largest_vocabulary: the largest of them, known on the host.
        keys_B, dropout_B, time, channel_BH: as in `ModelInput`; `time` has the shape of the frames.
    """

    frames: PaddedFrames | PackedFrames
    features: Tensor
    slots_U: Tensor
    owner_B: Tensor
    sizes_U: Tensor
    largest_vocabulary: int
    keys_B: Tensor | None = None
    time: Tensor | None = None
    channel_BH: Tensor | None = None
    dropout_B: Tensor | None = None


class RoutedModel:
    """A frozen base with a bank of adapters."""

    def __init__(self, base: FrozenBase, bank: AdapterBank, *, activation_checkpointing: bool = False) -> None:
        self.base = base
        self.bank = bank
        self.activation_checkpointing = activation_checkpointing

    def logits(self, batch: ModelInput) -> Tensor:
        """CTC logits [B, T, V] of a batch described on the CPU; see `device_logits`."""
        return self.device_logits(self.on_device(batch))

    def on_device(self, batch: ModelInput) -> DeviceInput:
        """Copy the batch to the model's device, tensor by tensor; training instead copies everything at once."""
        frames, device = batch.features_BTC.shape[1], self.base.device
        slots_U, owner_B = torch.unique(batch.slots_B, return_inverse=True)
        sizes = [self.bank.vocabulary_sizes[slot] for slot in slots_U.tolist()]
        frames_B, is_full = transfer.to_device(batch.frames_B, device), int(batch.frames_B.min()) == frames
        return DeviceInput(
            frames=PaddedFrames.of(frames_B, frames, is_full=is_full, dtype=self.base.dtype),
            features=batch.features_BTC,
            slots_U=transfer.to_device(slots_U, device),
            owner_B=transfer.to_device(owner_B, device),
            sizes_U=transfer.to_device(torch.tensor(sizes), device),
            largest_vocabulary=max(sizes),
            keys_B=_on(device, batch.keys_B),
            time=_on(device, batch.time_BT),
            channel_BH=_on(device, batch.channel_BH),
            dropout_B=_on(device, batch.dropout_B),
        )

    def device_logits(self, batch: DeviceInput) -> Tensor:
        """CTC logits [B, T, V] in at least float32, where V is the batch's largest vocabulary or slightly more.

        Frames past an utterance's end and tokens outside its language's vocabulary are meaningless; those tokens have
        probability 0.
        """
        frames, dtype = batch.frames, self.base.dtype
        by_layer = self._gathers_by_layer()
        adapters, masks, norm = self._adapters(batch, gathered=not by_layer), self._masks(batch), PlainNorm()
        layer = partial(self._layer, batch=batch, masks=masks, norm=norm, gather=by_layer)
        hidden = frames.embed(self.base, batch.features, batch.time, batch.channel_BH)
        for number, adapter in enumerate(adapters):
            if self.activation_checkpointing and hidden.requires_grad:
                hidden = checkpoint(layer, number, hidden, adapter, use_reentrant=False, preserve_rng_state=False)
            else:
                hidden = layer(number, hidden, adapter)
        head_UHV, bias_U1V = heads(
            self.bank,
            batch.slots_U,
            batch.sizes_U,
            batch.largest_vocabulary,
            dtype,
            step=frames.head_step,
            in_strips=frames.in_strips,
        )
        logits = frames.product(
            self.base.final_norm(hidden), frames.gather(head_UHV, batch.owner_B), frames.gather(bias_U1V, batch.owner_B)
        )
        logits_BTV = frames.by_utterance(logits)
        return logits_BTV.to(torch.promote_types(logits_BTV.dtype, torch.float32))

    def _gathers_by_layer(self) -> bool:
        """Whether weights are gathered per utterance one layer at a time, instead of for all layers at once.

        This is so with activation checkpointing, which saves memory, and if no backward pass needs them afterwards.
        """
        return self.activation_checkpointing or not torch.is_grad_enabled()

    def _adapters(self, batch: DeviceInput, *, gathered: bool) -> list[_Adapter]:
        """The adapters of every layer: `gathered` for all layers at once, or for `_layer` to gather one by one."""
        parts: Iterable[Tensor] = fold(self.bank, batch.slots_U, self.base.dtype, in_strips=batch.frames.in_strips)
        if gathered:
            parts = (batch.frames.gather(part, batch.owner_B) for part in parts)
        down_LWH, bias_L1W, up_LWH = (part.unbind(1) for part in parts)
        return list(zip(down_LWH, bias_L1W, up_LWH, strict=True))

    def _masks(self, batch: DeviceInput) -> DropoutMasks | None:
        if batch.dropout_B is None or batch.keys_B is None:
            return None
        spread, layout = batch.frames.spread, self.bank.layout
        return DropoutMasks.draw(
            spread(batch.keys_B),
            batch.frames.numbers,
            spread(batch.dropout_B),
            layers=layout.layers,
            channels=layout.dim,
            width=width_of(layout.dim, self.base.dtype),
            dtype=self.base.dtype,
        )

    def _layer(
        self,
        number: int,
        hidden: Tensor,
        adapter: _Adapter,
        *,
        batch: DeviceInput,
        masks: DropoutMasks | None,
        norm: PlainNorm,
        gather: bool,
    ) -> Tensor:
        frames = batch.frames

        def own(part: Tensor) -> Tensor:
            """Gather right before the product, so that its gradient is summed right after the product's gradient."""
            return frames.gather(part, batch.owner_B) if gather else part

        down_WH, bias_1W, up_WH = adapter
        hidden = self.base.layer(number, hidden, frames.attend)
        narrow = frames.product(norm(hidden), own(down_WH).transpose(-1, -2), own(bias_1W))
        if masks is not None:  # before the ReLU, which gives the same result because masks are never negative
            narrow.mul_(masks.of_layer(number))
        return frames.add_product(hidden, narrow.relu_(), own(up_WH))


def _on(device: torch.device, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else transfer.to_device(tensor, device)
