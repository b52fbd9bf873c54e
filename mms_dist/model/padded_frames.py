"""How the utterances of a pass lie in its tensors: one below the other, each padded to the longest.

What knows of padding is here; everything else works on frames.

Legend: B utterances, U languages among them, T frames of the longest, C front-end channels, H hidden size, X and Y the
two sides of a matrix.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase

_MASK_ALIGNMENT = 8
"""What torch's memory-efficient attention asks of every stride of a mask but the last. It copies any other mask, in
every layer (read in `preprocess_mask` and `pad_bias`, aten/src/ATen/native/transformers/attention.cpp)."""


@dataclass(frozen=True)
class PaddedFrames:
    """Frames as [B, T, …].

    Attributes:
        valid_BT: True for the frames that belong to the utterance.
        attend: what attention adds to the scores of a key, [B, 1, 1, T]: 0, or -inf for padding; None if there is no
            padding. Made once a pass: attention makes it of a boolean mask anew in every layer.
        numbers: of each frame in its utterance, [1, T].
    """

    valid_BT: Tensor
    attend: Tensor | None
    numbers: Tensor

    @classmethod
    def of(cls, frames_B: Tensor, longest: int, *, is_full: bool, dtype: torch.dtype) -> "PaddedFrames":
        """From the utterances' lengths on the device.

        Args:
            is_full: no utterance has padding.
            dtype: of the model.
        """
        # Always longer than the pass: were a mask contiguous in some passes, compiled layers would be others in those.
        aligned = (longest // _MASK_ALIGNMENT + 1) * _MASK_ALIGNMENT
        numbers = torch.arange(aligned, device=frames_B.device)
        valid_BA = numbers < frames_B[:, None]
        attend = None
        if not is_full:
            added_BA = torch.zeros_like(valid_BA, dtype=dtype).masked_fill_(~valid_BA, float("-inf"))
            attend = added_BA[:, None, None, :longest]
        return cls(valid_BA[:, :longest], attend, numbers[None, :longest])

    def embed(
        self, base: FrozenBase, features_BTC: Tensor, time_BT: Tensor | None, channel_BH: Tensor | None
    ) -> Tensor:
        """The encoder's input [B, T, H]."""
        return base.embed(features_BTC, self.valid_BT, time_BT, channel_BH)

    def spread(self, values_B: Tensor) -> Tensor:
        """A value for each utterance, as one that broadcasts over the frames: [B, 1]."""
        return values_B[:, None]

    def gather(self, weights_U: Tensor, owner_B: Tensor) -> Tensor:
        """What `product` needs of the languages' weights or biases: [U, …] to [B, …]."""
        return weights_U.index_select(0, owner_B)

    def product(self, frames_BTX: Tensor, weight_BXY: Tensor, bias_B1Y: Tensor) -> Tensor:
        """Every frame times its own language's matrix, plus its bias, [B, T, Y]."""
        return torch.baddbmm(bias_B1Y, frames_BTX, weight_BXY)

    def add_product(self, residual_BTY: Tensor, frames_BTX: Tensor, weight_BXY: Tensor) -> Tensor:
        """`residual` plus every frame times its own language's matrix, [B, T, Y]."""
        return torch.baddbmm(residual_BTY, frames_BTX, weight_BXY)
