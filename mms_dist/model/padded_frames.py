"""How the utterances of a pass lie in its tensors: one below the other, each padded to the longest.

What knows of padding is here; everything else works on frames.

Legend: B utterances, U languages among them, T frames of the longest, C front-end channels, H hidden size, X and Y the
two sides of a matrix.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase


@dataclass(frozen=True)
class PaddedFrames:
    """Frames as [B, T, …].

    Attributes:
        valid_BT: True for the frames that belong to the utterance.
        attend: True where a key may be attended to, [B, 1, 1, T]; None if there is no padding.
    """

    valid_BT: Tensor
    attend: Tensor | None

    @classmethod
    def of(cls, frames_B: Tensor, longest: int, *, is_full: bool) -> "PaddedFrames":
        """From the utterances' lengths on the device; `is_full` says that none has padding."""
        valid_BT = torch.arange(longest, device=frames_B.device) < frames_B[:, None]
        return cls(valid_BT, None if is_full else valid_BT[:, None, None, :])

    def embed(
        self, base: FrozenBase, features_BTC: Tensor, time_BT: Tensor | None, channel_BH: Tensor | None
    ) -> Tensor:
        """The encoder's input [B, T, H]."""
        return base.embed(features_BTC, self.valid_BT, time_BT, channel_BH)

    def product(self, frames_BTX: Tensor, weight_UXY: Tensor, bias_U1Y: Tensor, owner_B: Tensor) -> Tensor:
        """Every frame times its own language's matrix, plus its bias, [B, T, Y]."""
        weight_BXY, bias_B1Y = weight_UXY.index_select(0, owner_B), bias_U1Y.index_select(0, owner_B)
        return torch.baddbmm(bias_B1Y, frames_BTX, weight_BXY)

    head_step: ClassVar[int] = 1
    """Heads are as wide as the largest vocabulary of the pass."""

    @property
    def numbers(self) -> Tensor:
        """Number of each frame in its utterance, [1, T]."""
        return torch.arange(self.valid_BT.shape[1], device=self.valid_BT.device)[None]

    def spread(self, values_B: Tensor) -> Tensor:
        """What each utterance has, for its frames, [B, 1]."""
        return values_B[:, None]

    def by_utterance(self, logits_BTV: Tensor) -> Tensor:
        """[B, T, V], as they are."""
        return logits_BTV
