"""Padded passes: each utterance is a row, padded to the longest.

Only this module knows about padding; all other code works on frames.

Legend: B utterances, U languages among them, T frames of the longest, C front-end channels, H hidden size, X and Y the
two sides of a matrix.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase

_MASK_ALIGNMENT = 8
"""torch's memory-efficient attention requires every stride of a mask except the last to be a multiple of this. It
copies any other mask, in every layer (checked in `preprocess_mask` and `pad_bias`,
aten/src/ATen/native/transformers/attention.cpp)."""


@dataclass(frozen=True)
class PaddedFrames:
    """The frames of a padded pass, as [B, T, …].

    Attributes:
        valid_BT: True for the frames that belong to the utterance.
        attend: added to the attention scores of a key, [B, 1, 1, T]: 0, or -inf for padding; None without padding. It
            is made once per pass; from a boolean mask, attention would make it again in every layer.
        numbers: the number of each frame within its utterance, [1, T].
    """

    head_step: ClassVar[int] = 1
    """Heads are as wide as the largest vocabulary of the pass."""
    in_strips: ClassVar[bool] = False
    """A language occurs once."""

    valid_BT: Tensor
    attend: Tensor | None
    numbers: Tensor

    @classmethod
    def of(cls, frames_B: Tensor, longest: int, *, is_full: bool, dtype: torch.dtype) -> "PaddedFrames":
        """Build from the utterances' lengths on the device.

        Args:
            is_full: no utterance has padding.
            dtype: dtype of the model.
        """
        # Always longer than the pass: if the mask were contiguous in some passes, those would need other compiled
        # graphs.
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
        """Compute the encoder's input [B, T, H]."""
        return base.embed(features_BTC, self.valid_BT, time_BT, channel_BH)

    def spread(self, values_B: Tensor) -> Tensor:
        """Reshape each utterance's value so that it broadcasts over its frames: [B, 1]."""
        return values_B[:, None]

    def gather(self, weights_U: Tensor, owner_B: Tensor) -> Tensor:
        """Prepare the languages' weights or biases for `product`: [U, …] to [B, …]."""
        return _OfUtterances.apply(weights_U, owner_B)

    def product(self, frames_BTX: Tensor, weight_BXY: Tensor, bias_B1Y: Tensor) -> Tensor:
        """Multiply every frame by its own language's matrix and add its bias, [B, T, Y]."""
        return torch.baddbmm(bias_B1Y, frames_BTX, weight_BXY)

    def add_product(self, residual_BTY: Tensor, frames_BTX: Tensor, weight_BXY: Tensor) -> Tensor:
        """`residual` plus every frame times its own language's matrix, [B, T, Y]."""
        return torch.baddbmm(residual_BTY, frames_BTX, weight_BXY)

    def by_utterance(self, logits_BTV: Tensor) -> Tensor:
        """Return the logits [B, T, V] unchanged."""
        return logits_BTV


class _OfUtterances(torch.autograd.Function):
    """Copy each language's values to its utterances, [U, …] to [B, …].

    Gradients are summed in float32 and rounded once.

    A CPU's `index_add_` sums bfloat16 this way by itself (measured, torch 2.13 on x86). A GPU's rounds after every
    addition, so there the utterances' gradients are converted to float32 first. It uses atomics, which have no fixed
    order; a fixed order would need a launch per utterance, or utterances sorted by language.
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
