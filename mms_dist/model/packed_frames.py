"""How the utterances of a packed pass lie in its tensors: end to end, in blocks of one strip each.

A block is a row as an utterance is one in a padded pass, [R, K, …], so that everything that works frame by frame, and
what takes each row through its own language's matrices, is the same code for both. All blocks of all passes have one
shape and every strip begins with a block: whatever else is in the pass, a strip's frames go through the same kernels,
and its gradient is the same sum. (`torch.nn.functional.grouped_mm` would take strips as they are, but waits for the
device on all compute capabilities but 9.0 and 10.x, and leaves rows of no group as the memory was: GroupedBlas.cpp and
GroupedMMUtils.h of torch 2.11 and 2.13.)

Legend: B utterances, U strips, N frames of the pass, R blocks of K frames, C front-end channels, H hidden size, X and Y
the two sides of a matrix, P rows of the positional convolution, T frames of the longest utterance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_tables import BLOCK, PackedTables
from mms_dist.model.segments import Segments


@dataclass(frozen=True)
class PackedFrames:
    """Frames as [R, K, …].

    Attributes:
        attend: the sequences that attend to themselves.
        utterance_N, index_N: whose frame it is, and which of that utterance's.
        feature_N, gapped_N, logits_BT: see `PackedTables`, on the device.
        gapped_rows: P.
    """

    attend: Segments
    utterance_N: Tensor
    index_N: Tensor
    feature_N: Tensor
    gapped_N: Tensor
    logits_BT: Tensor
    gapped_rows: int

    @classmethod
    def of(cls, tables: PackedTables, put: Callable[[np.ndarray], Tensor]) -> "PackedFrames":
        """From the tables of a pass; `put` brings one of them to the device."""
        lengths = tables.lengths_S
        longest = 1 << int(lengths.max() - 1).bit_length()  # a bound that takes few values: it is part of no plan
        return cls(
            attend=Segments(
                put(tables.sequences_S1), longest, tuple(lengths.tolist()), tuple(tables.is_filler_S.tolist())
            ),
            utterance_N=put(tables.utterance_N),
            index_N=put(tables.index_N),
            feature_N=put(tables.feature_N),
            gapped_N=put(tables.gapped_N),
            logits_BT=put(tables.logits_BT),
            gapped_rows=tables.gapped_rows,
        )

    def embed(self, base: FrozenBase, features_FC: Tensor, time_N: Tensor | None, channel_BH: Tensor | None) -> Tensor:
        """The encoder's input [R, K, H]."""
        features_NC = features_FC.index_select(0, self.feature_N)
        channel_NH = None if channel_BH is None else channel_BH.index_select(0, self.utterance_N)
        hidden_NH = base.project(features_NC, time_N, channel_NH)
        positions = gapped_positions if hidden_NH.is_cuda else positions_one_by_one
        return (hidden_NH + positions(self, base, hidden_NH)).unflatten(0, (-1, BLOCK))

    def product(self, frames_RKX: Tensor, weight_UXY: Tensor, bias_U1Y: Tensor, owner_R: Tensor) -> Tensor:
        """Every frame times its own strip's matrix, plus its bias, [R, K, Y]."""
        weight_RXY, bias_R1Y = _OfBlocks.apply(weight_UXY, owner_R), _OfBlocks.apply(bias_U1Y, owner_R)
        return torch.baddbmm(bias_R1Y, frames_RKX, weight_RXY)

    head_step: ClassVar[int] = 64
    """Heads are a multiple of this wide: a column is then summed alike whether there are more or not."""

    @property
    def numbers(self) -> Tensor:
        """Number of each frame in its utterance, [R, K]."""
        return self.index_N.unflatten(0, (-1, BLOCK))

    def spread(self, values_B: Tensor) -> Tensor:
        """What each utterance has, for each of its frames, [R, K]."""
        return values_B.index_select(0, self.utterance_N).unflatten(0, (-1, BLOCK))

    def by_utterance(self, logits_RKV: Tensor) -> Tensor:
        """[B, T, V]. Past its end an utterance has its last frame again, of which no loss may take account."""
        logits_NV = logits_RKV.flatten(0, 1)
        return logits_NV.index_select(0, self.logits_BT.flatten()).unflatten(0, self.logits_BT.shape)


class _OfBlocks(torch.autograd.Function):
    """Each block's part of what strips have, [U, …] to [R, …], with gradients summed in the order of the blocks.

    `index_select` would do, but on a GPU its backward pass adds with atomics, in any order. There `index_put_` sorts,
    and is the one of the two that repeats itself (torch's notes on `use_deterministic_algorithms`, 2.11 to 2.13).
    """

    @staticmethod
    def forward(ctx: Any, parts_U: Tensor, owner_R: Tensor) -> Tensor:
        ctx.save_for_backward(owner_R)
        ctx.strips = len(parts_U)
        return parts_U.index_select(0, owner_R)

    @staticmethod
    def backward(ctx: Any, *grads_R: Tensor) -> tuple[Tensor, None]:
        (owner_R,) = ctx.saved_tensors
        grad_U = grads_R[0].new_zeros(ctx.strips, *grads_R[0].shape[1:])
        return add_rows(grad_U, owner_R, grads_R[0]), None


def add_rows(sums: Tensor, place_R: Tensor, rows_R: Tensor) -> Tensor:
    """Add each row at its place, in their order where several have one place."""
    if sums.is_cuda:
        return sums.index_put_((place_R,), rows_R, accumulate=True)
    return sums.index_add_(0, place_R, rows_R)


@torch.no_grad()
def gapped_positions(frames: PackedFrames, base: FrozenBase, hidden_NH: Tensor) -> Tensor:
    """The positional convolution [N, H] of all utterances at once, with zeros between them."""
    row_PH = hidden_NH.new_zeros(frames.gapped_rows, hidden_NH.shape[1])
    row_PH.index_copy_(0, frames.gapped_N, hidden_NH)  # filler writes what its frame has written
    return base.positions(row_PH.unsqueeze(0)).squeeze(0).index_select(0, frames.gapped_N)


@torch.no_grad()
def positions_one_by_one(frames: PackedFrames, base: FrozenBase, hidden_NH: Tensor) -> Tensor:
    """The same, each utterance by itself: what a CPU is fastest at. Filler has zeros."""
    segments = frames.attend
    parts = zip(hidden_NH.split(segments.lengths), segments.is_filler, strict=True)
    return torch.cat(
        [
            torch.zeros_like(part_TH) if skip else base.positions(part_TH.unsqueeze(0)).squeeze(0)
            for part_TH, skip in parts
        ]
    )
