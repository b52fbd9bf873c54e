"""The routed forward pass: one frozen encoder, each utterance through its own language's adapter and head.

    adapter(h) = h + W2 relu(W1 LN(h) + b1) + b2          (Houlsby et al. 2019; MMS, Pratap et al. 2023, section 4)

where LN has the language's own gain g and offset o. As LN(h) = g * n(h) + o with n(h) the plain normalisation, the
gain and offset fold into the first projection,  W1 (g * n + o) + b1 = (W1 * g) n + (W1 o + b1),  which is done on
small matrices once a batch instead of on activations in every layer.

Legend: B utterances, U languages among them, T frames, H hidden size, D bottleneck, L layers, V vocabulary, R row
length. In a packed pass the frames of hidden_BTH and its like lie in blocks, which are then what B counts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mms_dist.model.bank import AdapterBank
from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_frames import PackedFrames
from mms_dist.model.packed_tables import PackedTables
from mms_dist.model.padded_frames import PaddedFrames
from mms_dist.model.randomness import keep_mask

NORM_EPS = 1e-5
"""Of the adapter's layer norm: torch's default, which Hugging Face's adapter layer uses."""

ABSENT_TOKEN_LOGIT = -1e4
"""Logit of a token outside an utterance's own vocabulary: probability exactly 0 in every float type, and, unlike
-inf, without NaN in the gradient of the CTC loss."""


@dataclass(frozen=True)
class Batch:
    """One forward pass as it is described on the CPU: utterances of any languages, padded or packed.

    features_BTC come from the front end, on the model's device, [F, C] in a packed pass; everything else lives on the
    CPU. The masks are SpecAugment's, drawn per utterance (None: none drawn); keys_B and dropout_B are given when any
    utterance has dropout; slots_B say which row of the bank each utterance goes through; tables say how a packed pass
    lies (None: it is padded).
    """

    features_BTC: Tensor
    frames_B: Tensor
    slots_B: Tensor
    keys_B: Tensor | None = None
    time_BT: Tensor | None = None
    channel_BH: Tensor | None = None
    dropout_B: Tensor | None = None
    tables: PackedTables | None = None


@dataclass(frozen=True)
class DeviceBatch:
    """One forward pass of which all that the device needs is on it: nothing in the pass reads from or waits for it.

    Attributes:
        frames: how the utterances' frames lie in the pass's tensors.
        features: of the front end, [B, T, C] or [F, C].
        slots_U: rows of the bank of the languages in the pass, int64; each language once, or once a strip.
        owner_B: place in slots_U of the language of each row of frames (an utterance, or a block), int64.
        sizes_U: vocabulary size of each of those languages, int64.
        largest_vocabulary: the largest of them, known on the host.
        keys_B, dropout_B, time, channel_BH: as in `Batch`; `time` lies as the frames do.
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


@dataclass(frozen=True)
class RoutedWeights:
    """The adapters of a batch's languages, folded and laid out as right-hand sides of matrix products.

    down_LUHD and up_LUDH are the projections, offset_LU1D and shift_LU1H their biases; head_UHV and bias_U1V end the
    encoder.
    """

    down_LUHD: tuple[Tensor, ...]
    offset_LU1D: tuple[Tensor, ...]
    up_LUDH: tuple[Tensor, ...]
    shift_LU1H: tuple[Tensor, ...]
    head_UHV: Tensor
    bias_U1V: Tensor


class RoutedModel:
    """A frozen base with a bank of adapters."""

    def __init__(self, base: FrozenBase, bank: AdapterBank, *, activation_checkpointing: bool = False) -> None:
        self.base = base
        self.bank = bank
        self.activation_checkpointing = activation_checkpointing

    def logits(self, batch: Batch) -> Tensor:
        """CTC logits [B, T, V] of a batch that is described on the CPU; see `device_logits`."""
        return self.device_logits(self.on_device(batch))

    def on_device(self, batch: Batch) -> DeviceBatch:
        """The batch with everything copied to the model's device, tensor by tensor."""
        device = self.base.device
        frames: PaddedFrames | PackedFrames
        time = batch.time_BT
        if batch.tables is None:
            slots_U, owner_B = torch.unique(batch.slots_B, return_inverse=True)
            longest = batch.features_BTC.shape[1]
            frames = PaddedFrames.of(batch.frames_B.to(device), longest, is_full=int(batch.frames_B.min()) == longest)
        else:
            tables = batch.tables
            frames = PackedFrames.of(tables, lambda table: torch.from_numpy(table).to(device))
            # A strip counts as a language of its own: its gradient is summed by itself before it is added.
            slots_U, owner_B = batch.slots_B[torch.from_numpy(tables.utterance_U)], torch.from_numpy(tables.strip_R)
            time = None if time is None else time[tables.utterance_N, tables.index_N]
        sizes = [self.bank.vocabulary_sizes[slot] for slot in slots_U.tolist()]
        return DeviceBatch(
            frames=frames,
            features=batch.features_BTC,
            slots_U=slots_U.to(device),
            owner_B=owner_B.to(device),
            sizes_U=torch.tensor(sizes).to(device),
            largest_vocabulary=max(sizes),
            keys_B=_on(device, batch.keys_B),
            time=_on(device, time),
            channel_BH=_on(device, batch.channel_BH),
            dropout_B=_on(device, batch.dropout_B),
        )

    def device_logits(self, batch: DeviceBatch) -> Tensor:
        """CTC logits [B, T, V] for the largest vocabulary V of the batch or a little more, in at least float32.

        Frames past an utterance's own, and tokens past its language's own vocabulary, carry no meaning; the latter
        have probability 0.
        """
        weights = self._weights(batch)
        hidden_BTH = batch.frames.embed(self.base, batch.features, batch.time, batch.channel_BH)
        for layer in range(len(self.base.layers)):
            if self.activation_checkpointing and hidden_BTH.requires_grad:
                hidden_BTH = checkpoint(
                    self._layer, layer, hidden_BTH, weights, batch, use_reentrant=False, preserve_rng_state=False
                )
            else:
                hidden_BTH = self._layer(layer, hidden_BTH, weights, batch)
        logits_BTV = batch.frames.product(
            self.base.final_norm(hidden_BTH), weights.head_UHV, weights.bias_U1V, batch.owner_B
        )
        logits_BTV = batch.frames.by_utterance(logits_BTV)
        return logits_BTV.to(torch.promote_types(logits_BTV.dtype, torch.float32))

    def _layer(self, layer: int, hidden_BTH: Tensor, weights: RoutedWeights, batch: DeviceBatch) -> Tensor:
        hidden_BTH = self.base.layer(layer, hidden_BTH, batch.frames.attend)
        normed_BTH = functional.layer_norm(hidden_BTH, (self.base.hidden,), eps=NORM_EPS)
        product, owner_B = batch.frames.product, batch.owner_B
        narrow_BTD = product(normed_BTH, weights.down_LUHD[layer], weights.offset_LU1D[layer], owner_B).relu()
        if batch.dropout_B is not None and batch.keys_B is not None:
            keys, rates = batch.frames.spread(batch.keys_B), batch.frames.spread(batch.dropout_B)
            keep_BTD = keep_mask(keys, layer, narrow_BTD.shape, rates, narrow_BTD.dtype, batch.frames.numbers)
            narrow_BTD = narrow_BTD * keep_BTD
        return hidden_BTH + product(narrow_BTD, weights.up_LUDH[layer], weights.shift_LU1H[layer], owner_B)

    def _weights(self, batch: DeviceBatch) -> RoutedWeights:
        layout = self.bank.layout
        languages, layers, hidden, dim = len(batch.slots_U), layout.layers, layout.hidden, layout.dim
        rows_UR = self.bank.gather(batch.slots_U)
        gain, offset, down, down_bias, up, up_bias, head = rows_UR.split(
            [*layout.kind_sizes, rows_UR.shape[1] - layout.adapter_size], dim=1
        )
        down_ULDH = down.view(languages, layers, dim, hidden)
        folded_ULDH = down_ULDH * gain.view(languages, layers, 1, hidden)
        folded_bias_ULD = (down_ULDH @ offset.view(languages, layers, hidden, 1)).squeeze(-1) + down_bias.view(
            languages, layers, dim
        )
        dtype = self.base.dtype
        head_UHV, bias_U1V = self._heads(head, batch)
        return RoutedWeights(
            down_LUHD=folded_ULDH.to(dtype).transpose(2, 3).unbind(1),
            offset_LU1D=folded_bias_ULD.to(dtype).unsqueeze(2).unbind(1),
            up_LUDH=up.view(languages, layers, hidden, dim).to(dtype).transpose(2, 3).unbind(1),
            shift_LU1H=up_bias.view(languages, layers, 1, hidden).to(dtype).unbind(1),
            head_UHV=head_UHV.to(dtype),
            bias_U1V=bias_U1V.to(dtype),
        )

    def _heads(self, head_UR: Tensor, batch: DeviceBatch) -> tuple[Tensor, Tensor]:
        """Weights [U, H, V] and biases [U, 1, V], cut to the batch's largest vocabulary."""
        largest, width = batch.largest_vocabulary, self.bank.layout.hidden + 1
        entries_UVH = head_UR[:, : largest * width].reshape(len(head_UR), largest, width)
        own_UV = torch.arange(largest, device=head_UR.device) < batch.sizes_U[:, None]
        bias_UV = entries_UVH[:, :, -1].masked_fill(~own_UV, ABSENT_TOKEN_LOGIT)
        # Tokens that nobody has make the heads of a packed pass as wide as others: a narrower product sums otherwise.
        more = -largest % batch.frames.head_step
        bias_UV = functional.pad(bias_UV, (0, more), value=ABSENT_TOKEN_LOGIT)
        return functional.pad(entries_UVH[:, :, :-1], (0, 0, 0, more)).transpose(1, 2), bias_UV[:, None, :]


def _on(device: torch.device, tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.to(device)
