"""The routed forward pass: one frozen encoder, each utterance through its own language's adapter and head.

    adapter(h) = h + W2 relu(W1 LN(h) + b1) + b2          (Houlsby et al. 2019; MMS, Pratap et al. 2023, section 4)

where LN has the language's own gain g and offset o. As LN(h) = g * n(h) + o with n(h) the plain normalisation, the
gain and offset fold into the first projection,  W1 (g * n + o) + b1 = (W1 * g) n + (W1 o + b1),  which is done on
small matrices once a batch instead of on activations in every layer.

Legend: B utterances, U languages among them, T frames, H hidden size, D bottleneck, L layers, V vocabulary, R row
length.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.randomness import keep_mask

NORM_EPS = 1e-5
"""Of the adapter's layer norm: torch's default, which Hugging Face's adapter layer uses."""

ABSENT_TOKEN_LOGIT = -1e4
"""Logit of a token outside an utterance's own vocabulary: probability exactly 0 in every float type, and, unlike
-inf, without NaN in the gradient of the CTC loss."""


@dataclass(frozen=True)
class Batch:
    """One forward pass: utterances of any languages.

    features_BTC come from the front end, on the model's device; everything else lives on the CPU, so that no choice
    made here waits for the device. The masks are SpecAugment's, drawn per utterance (None: none drawn); keys_B and
    dropout_B are given when any utterance has dropout; slots_B say which row of the bank each utterance goes through.
    """

    features_BTC: Tensor
    frames_B: Tensor
    slots_B: Tensor
    keys_B: Tensor | None = None
    time_BT: Tensor | None = None
    channel_BH: Tensor | None = None
    dropout_B: Tensor | None = None


@dataclass(frozen=True)
class RoutedWeights:
    """The adapters of a batch's languages, folded and laid out as right-hand sides of matrix products.

    owner_B says which of the U languages an utterance belongs to. down_LUHD and up_LUDH are the projections,
    offset_LU1D and shift_LU1H their biases; head_UHV and bias_U1V end the encoder.
    """

    owner_B: Tensor
    down_LUHD: tuple[Tensor, ...]
    offset_LU1D: tuple[Tensor, ...]
    up_LUDH: tuple[Tensor, ...]
    shift_LU1H: tuple[Tensor, ...]
    head_UHV: Tensor
    bias_U1V: Tensor

    def of_each(self, weight_U: Tensor) -> Tensor:
        """One weight per utterance from one per language."""
        return weight_U.index_select(0, self.owner_B)


class RoutedModel:
    """A frozen base with a bank of adapters."""

    def __init__(self, base: FrozenBase, bank: AdapterBank, *, activation_checkpointing: bool = False) -> None:
        self.base = base
        self.bank = bank
        self.activation_checkpointing = activation_checkpointing

    def logits(self, batch: Batch) -> Tensor:
        """CTC logits [B, T, V] for the largest vocabulary V of the batch, in at least float32.

        Frames past an utterance's own, and tokens past its language's own vocabulary, carry no meaning; the latter
        have probability 0.
        """
        frames, device = batch.features_BTC.shape[1], self.base.device
        valid_BT = (torch.arange(frames) < batch.frames_B[:, None]).to(device)
        attend = None if int(batch.frames_B.min()) == frames else valid_BT[:, None, None, :]
        weights = self._weights(batch.slots_B)
        batch = replace(batch, keys_B=_on(device, batch.keys_B), dropout_B=_on(device, batch.dropout_B))
        hidden_BTH = self.base.embed(
            batch.features_BTC, valid_BT, _on(device, batch.time_BT), _on(device, batch.channel_BH)
        )
        for layer in range(len(self.base.layers)):
            if self.activation_checkpointing and hidden_BTH.requires_grad:
                hidden_BTH = checkpoint(
                    self._layer,
                    layer,
                    hidden_BTH,
                    attend,
                    weights,
                    batch,
                    use_reentrant=False,
                    preserve_rng_state=False,
                )
            else:
                hidden_BTH = self._layer(layer, hidden_BTH, attend, weights, batch)
        head_BHV, bias_B1V = weights.of_each(weights.head_UHV), weights.of_each(weights.bias_U1V)
        logits_BTV = torch.baddbmm(bias_B1V, self.base.final_norm(hidden_BTH), head_BHV)
        return logits_BTV.to(torch.promote_types(logits_BTV.dtype, torch.float32))

    def _layer(
        self, layer: int, hidden_BTH: Tensor, attend: Tensor | None, weights: RoutedWeights, batch: Batch
    ) -> Tensor:
        hidden_BTH = self.base.layer(layer, hidden_BTH, attend)
        normed_BTH = functional.layer_norm(hidden_BTH, (self.base.hidden,), eps=NORM_EPS)
        down_BHD, offset_B1D, up_BDH, shift_B1H = (
            weights.of_each(kind[layer])
            for kind in (weights.down_LUHD, weights.offset_LU1D, weights.up_LUDH, weights.shift_LU1H)
        )
        narrow_BTD = torch.baddbmm(offset_B1D, normed_BTH, down_BHD).relu()
        if batch.dropout_B is not None and batch.keys_B is not None:
            keep_BTD = keep_mask(batch.keys_B, layer, narrow_BTD.shape, batch.dropout_B, narrow_BTD.dtype)
            narrow_BTD = narrow_BTD * keep_BTD
        return hidden_BTH + torch.baddbmm(shift_B1H, narrow_BTD, up_BDH)

    def _weights(self, slots_B: Tensor) -> RoutedWeights:
        layout, device = self.bank.layout, self.base.device
        slots_U, owner_B = torch.unique(slots_B, return_inverse=True)
        languages, layers, hidden, dim = len(slots_U), layout.layers, layout.hidden, layout.dim
        rows_UR = self.bank.gather(slots_U.to(device))
        gain, offset, down, down_bias, up, up_bias, head = rows_UR.split(
            [*layout.kind_sizes, rows_UR.shape[1] - layout.adapter_size], dim=1
        )
        down_ULDH = down.view(languages, layers, dim, hidden)
        folded_ULDH = down_ULDH * gain.view(languages, layers, 1, hidden)
        folded_bias_ULD = (down_ULDH @ offset.view(languages, layers, hidden, 1)).squeeze(-1) + down_bias.view(
            languages, layers, dim
        )
        dtype = self.base.dtype
        head_UHV, bias_U1V = self._heads(head, slots_U)
        return RoutedWeights(
            owner_B=owner_B.to(device),
            down_LUHD=folded_ULDH.to(dtype).transpose(2, 3).unbind(1),
            offset_LU1D=folded_bias_ULD.to(dtype).unsqueeze(2).unbind(1),
            up_LUDH=up.view(languages, layers, hidden, dim).to(dtype).transpose(2, 3).unbind(1),
            shift_LU1H=up_bias.view(languages, layers, 1, hidden).to(dtype).unbind(1),
            head_UHV=head_UHV.to(dtype),
            bias_U1V=bias_U1V.to(dtype),
        )

    def _heads(self, head_UR: Tensor, slots_U: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [U, H, V] and biases [U, 1, V], cut to the batch's largest vocabulary."""
        sizes = [self.bank.vocabulary_sizes[slot] for slot in slots_U.tolist()]
        largest, width = max(sizes), self.bank.layout.hidden + 1
        entries_UVH = head_UR[:, : largest * width].reshape(len(sizes), largest, width)
        own_UV = torch.arange(largest) < torch.tensor(sizes)[:, None]
        bias_UV = entries_UVH[:, :, -1].masked_fill(~own_UV.to(head_UR.device), ABSENT_TOKEN_LOGIT)
        return entries_UVH[:, :, :-1].transpose(1, 2), bias_UV[:, None, :]


def _on(device: torch.device, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(device)
