"""Dropout masks that belong to an utterance, not to a batch.

A mask element depends only on its utterance's key, the layer, the frame number and the channel. So it is the same for
an utterance alone or in a mixed batch, with any padding, on any number of processes, after a restart, and on a CPU or a
GPU (DESIGN, invariants I1 and I7). All arithmetic uses 32-bit integers, which wrap around on every device.

A frame in a layer gets two random words a and b, hashed from (key, layer, frame) for all layers at once. Its channel c
gets x = b + a c', where c' is a random constant; this makes channels pairwise independent (multiply-add hashing,
Dietzfelbinger 1996). Then x + 2 x x, the quadratic permutation of RC6 (Rivest et al. 1998), breaks the linearity in c'.
So [..., W] takes two operations rather than the fifteen of a full hash.

Legend: L layers, W width of the bottleneck; "..." is the shape of the frames, [B, T] or [N].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

DRAWS_VERSION = 2
"""Version of the dropout scheme, as stored in checkpoints; checkpoints without one use version 1, a 64-bit hash."""

_SMALLEST = -(1 << 31)
_FRAME, _LAYER, _CHANNEL = 0x3C6EF372, 0x1B873593, 0x5851F42D
_MIX_1, _MIX_2 = 0x7FEB352D, 0x846CA68B - (1 << 32)


@dataclass(frozen=True)
class DropoutMasks:
    """The dropout masks of a pass, for all layers.

    Attributes:
        words: a and b of every frame in every layer, int32 [2, L, ..., 1].
        channels_W: c' of every channel, int32 [W].
        threshold: elements below it are dropped, int32; broadcasts over frames and channels.
        scale: 1 / (1 - p); broadcasts like `threshold`.
        channels: dropout applies to this many channels; the remaining ones are always multiplied by 1.
    """

    words: Tensor
    channels_W: Tensor
    threshold: Tensor
    scale: Tensor
    channels: int

    @classmethod
    def draw(
        cls,
        keys: Tensor,
        numbers: Tensor,
        rates: Tensor,
        *,
        layers: int,
        channels: int,
        width: int,
        dtype: torch.dtype,
    ) -> "DropoutMasks":
        """Draw the masks of frames, each identified by (key, number).

        Args:
            keys: the key of each frame's utterance, int64.
            numbers: the number of each frame within its utterance.
            rates: p of each frame, below 1. All three broadcast to the shape of the frames.
            width: `channels` plus the channels that are never dropped.
            dtype: dtype of the tensors that the masks multiply.
        """
        halves = torch.stack([keys, keys >> 32]).to(torch.int32)  # the lower and the upper half of each key
        state = _mix(_mix(halves + numbers.to(torch.int32) * _FRAME) ^ halves.flip(0))
        layer = torch.arange(layers, dtype=torch.int32, device=keys.device) * _LAYER
        words = _mix(state[:, None] + layer.view(-1, *[1] * (state.dim() - 1)))
        channels_W = _mix(torch.arange(1, width + 1, dtype=torch.int32, device=keys.device) * _CHANNEL)
        rates = rates.double()[..., None]
        threshold = ((rates * 2.0**32).floor() + _SMALLEST).to(torch.int32)
        return cls(words[..., None], channels_W, threshold, (1 / (1 - rates)).to(dtype), channels)

    def of_layer(self, layer: int) -> Tensor:
        """The factors for the layer's bottleneck, [..., W]: 0, or 1 / (1 - p)."""
        a, b = self.words[:, layer]
        bits = torch.addcmul(b, a, self.channels_W)
        bits = torch.addcmul(bits, bits, bits, value=2)
        mask = (bits >= self.threshold) * self.scale
        mask[..., self.channels :].fill_(1)
        return mask


def _mix(bits: Tensor) -> Tensor:
    """Mix bits so that each output bit depends on all input bits (lowbias32, Wellons 2018)."""
    bits = (bits ^ _shift(bits, 16)) * _MIX_1
    bits = (bits ^ _shift(bits, 15)) * _MIX_2
    return bits ^ _shift(bits, 16)


def _shift(bits: Tensor, places: int) -> Tensor:
    """Logical shift to the right; torch's own shift keeps the sign."""
    return (bits >> places) & ((1 << (32 - places)) - 1)
