"""Dropout masks that belong to an utterance, not to a batch.

An element of a mask is a function of its utterance's key, the layer, the number of its frame and its channel alone: it
is the same alone and in a mixed batch, whatever the padding, on any number of processes, after a restart, and on a CPU
and a GPU (DESIGN, invariants I1 and I7). Arithmetic is that of 32-bit integers, which wrap around everywhere.

A frame in a layer gets two random words a and b, hashed from (key, layer, frame) for all layers at once. Its channel c
gets x = b + a c', where c' is a random constant, which makes channels independent in pairs (multiply-add hashing,
Dietzfelbinger 1996), and then x + 2 x x, the quadratic permutation of RC6 (Rivest et al. 1998), which breaks what is
linear in c'. So [..., W] takes two operations rather than the fifteen of a whole hash.

Legend: L layers, W width of the bottleneck; "..." is whatever shape the frames lie in, [B, T] or [N].
"""

from dataclasses import dataclass

import torch
from torch import Tensor

DRAWS_VERSION = 2
"""How dropout is drawn, as checkpoints say it; checkpoints that say nothing are of version 1, a 64-bit hash."""

_SMALLEST = -(1 << 31)
_FRAME, _LAYER, _CHANNEL = 0x3C6EF372, 0x1B873593, 0x5851F42D
_MIX_1, _MIX_2 = 0x7FEB352D, 0x846CA68B - (1 << 32)


@dataclass(frozen=True)
class DropoutMasks:
    """The masks of a pass, for all layers.

    Attributes:
        words: a and b of every frame in every layer, int32 [2, L, ..., 1].
        channels_W: c' of every channel, int32 [W].
        threshold: elements below are dropped, int32; it broadcasts over frames and channels.
        scale: 1 / (1 - p); as `threshold`.
        channels: how many of the channels are dropped; those after them are always multiplied by 1.
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
        """The masks of frames that are told apart by (key, number).

        Args:
            keys: of each frame's utterance, int64.
            numbers: of each frame in its utterance.
            rates: p of each frame, below 1. All three broadcast to the shape of the frames.
            width: `channels`, and those that are never dropped.
            dtype: of what is multiplied by the masks.
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
        """What the layer's bottleneck is multiplied by, [..., W]: 0, or 1 / (1 - p)."""
        a, b = self.words[:, layer]
        bits = torch.addcmul(b, a, self.channels_W)
        bits = torch.addcmul(bits, bits, bits, value=2)
        mask = (bits >= self.threshold) * self.scale
        mask[..., self.channels :].fill_(1)
        return mask


def _mix(bits: Tensor) -> Tensor:
    """Bits of which each depends on all that it was given (lowbias32, Wellons 2018)."""
    bits = (bits ^ _shift(bits, 16)) * _MIX_1
    bits = (bits ^ _shift(bits, 15)) * _MIX_2
    return bits ^ _shift(bits, 16)


def _shift(bits: Tensor, places: int) -> Tensor:
    """Logical shift to the right; torch's own keeps the sign."""
    return (bits >> places) & ((1 << (32 - places)) - 1)
