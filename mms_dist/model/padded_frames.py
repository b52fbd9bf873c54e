"""How the utterances of a pass lie in its tensors: one below the other, each padded to the longest.

What knows of padding is here; everything else works on frames.

Legend: B utterances, U languages among them, T frames of the longest, C front-end channels, H hidden size, X and Y the
two sides of a matrix.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

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

    head_step: ClassVar[int] = 1
    """Heads are as wide as the largest vocabulary of the pass."""
    in_strips: ClassVar[bool] = False
    """A language is given once."""

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
        return _OfUtterances.apply(weights_U, owner_B)

    def product(self, frames_BTX: Tensor, weight_BXY: Tensor, bias_B1Y: Tensor) -> Tensor:
        """Every frame times its own language's matrix, plus its bias, [B, T, Y]."""
        return torch.baddbmm(bias_B1Y, frames_BTX, weight_BXY)

    def add_product(self, residual_BTY: Tensor, frames_BTX: Tensor, weight_BXY: Tensor) -> Tensor:
        """`residual` plus every frame times its own language's matrix, [B, T, Y]."""
        return torch.baddbmm(residual_BTY, frames_BTX, weight_BXY)

    def by_utterance(self, logits_BTV: Tensor) -> Tensor:
        """[B, T, V], as they are."""
        return logits_BTV


class _OfUtterances(torch.autograd.Function):
    """Each utterance's part of what languages have, [U, …] to [B, …]; gradients are added up in float32, and the sums
    rounded once.

    A CPU's `index_add_` adds bfloat16 so by itself (measured, torch 2.13 on x86). A GPU's rounds after every addition,
    so there the utterances' gradients are made float32 first. It adds with atomics, in no fixed order: one order would
    take a launch for every utterance, or utterances that lie language by language.
    """

    @staticmethod
    def forward(ctx: Any, parts_U: Tensor, owner_B: Tensor) -> Tensor:
        ctx.save_for_backward(owner_B)
        ctx.languages = len(parts_U)
        return parts_U.index_select(0, owner_B)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (owner_B,) = ctx.saved_tensors
        grads_B = grads[0]
        if grads_B.device.type != "cpu" and grads_B.dtype.itemsize < torch.float32.itemsize:
            grads_B = grads_B.float()
        sums_U = grads_B.new_zeros(ctx.languages, *grads_B.shape[1:]).index_add_(0, owner_B, grads_B)
        return sums_U.to(grads[0].dtype), None
