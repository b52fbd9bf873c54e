"""Packed passes: utterances are laid end to end in the tensors, in blocks that belong to one strip each.

A block is a row, [R, K, …], like an utterance in a padded pass. So the code that works frame by frame, and the code
that multiplies each row with its own language's matrices, is the same for both. All blocks of all passes have one
shape, and every strip starts with a new block. So a strip's frames go through the same kernels whatever else is in the
pass, and its gradient is one product over its own frames. (`torch.nn.functional.grouped_mm` would accept strips
directly, but it waits for the device on all compute capabilities except 9.0 and 10.x, and leaves rows without a group
uninitialised: GroupedBlas.cpp and GroupedMMUtils.h of torch 2.11 and 2.13.)

Legend: B utterances, U strips, N frames of the pass, R blocks of K frames, C front-end channels, H hidden size, X and Y
the two sides of a matrix, P rows of the positional convolution, T frames of the longest utterance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, starmap
from typing import Any, ClassVar

import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_attention import Segments
from mms_dist.model.packed_tables import BLOCK, PackedTables


@dataclass(frozen=True, kw_only=True)
class PackedFrames:
    """The frames of a packed pass, as [R, K, …].

    Attributes:
        attend: the sequences; each attends to itself.
        owner_R: the strip of each block.
        utterance_N, index_N: each frame's utterance, and its number within that utterance.
        feature_N: the feature row of each frame.
        gapped_N, logits_BT: see `PackedTables`.
        gapped_rows: P.
        strips: the blocks of each strip, without the all-filler blocks at the end of the pass; known on the host.
    """

    head_step: ClassVar[int] = 64
    """The width of heads is a multiple of this, so that a column's sum does not depend on the number of columns."""
    in_strips: ClassVar[bool] = True
    """A language occurs once for each of its strips."""

    attend: Segments
    owner_R: Tensor
    utterance_N: Tensor
    index_N: Tensor
    feature_N: Tensor
    gapped_N: Tensor
    logits_BT: Tensor
    gapped_rows: int
    strips: tuple[slice, ...]

    @classmethod
    def of(cls, tables: PackedTables, tensors: Mapping[str, Tensor]) -> "PackedFrames":
        """Build from the tables of a pass, and from the tensors of `to_send`, which are now on the device."""
        lengths = tables.lengths_S
        longest = 1 << int(lengths.max() - 1).bit_length()  # a bound that takes few values
        limits_S1, of_filler = tensors["sequences"], tuple(tables.is_filler_S.tolist())
        return cls(
            attend=Segments(limits_S1, longest, tuple(lengths.tolist()), of_filler),
            owner_R=tensors["owners"],
            utterance_N=tensors["utterances of frames"],
            index_N=tensors["numbers of frames"],
            feature_N=tensors["features of frames"],
            gapped_N=tensors["gapped rows of frames"],
            logits_BT=tensors["frames of utterances"],
            gapped_rows=tables.gapped_rows,
            strips=tuple(starmap(slice, pairwise(tables.blocks_U1.tolist()))),
        )

    @staticmethod
    def to_send(tables: PackedTables, feature_B: Any) -> dict[str, Tensor]:
        """The tensors that the device needs, by name; `feature_B` is the row of each utterance's first feature."""
        return {
            "sequences": torch.from_numpy(tables.sequences_S1),
            "owners": torch.from_numpy(tables.strip_R),
            "utterances of frames": torch.from_numpy(tables.utterance_N),
            "numbers of frames": torch.from_numpy(tables.index_N),
            "features of frames": torch.from_numpy(tables.rows(feature_B)),
            "gapped rows of frames": torch.from_numpy(tables.gapped_N),
            "frames of utterances": torch.from_numpy(tables.logits_BT),
        }

    def embed(self, base: FrozenBase, features_FC: Tensor, time_N: Tensor | None, channel_BH: Tensor | None) -> Tensor:
        """Compute the encoder's input [R, K, H]."""
        features_NC = features_FC.index_select(0, self.feature_N)
        channel_NH = None if channel_BH is None else channel_BH.index_select(0, self.utterance_N)
        hidden_NH = base.project(features_NC, time_N, channel_NH)
        positions = positions_one_by_one if hidden_NH.device.type == "cpu" else gapped_positions
        return (hidden_NH + positions(self, base, hidden_NH)).unflatten(0, (-1, BLOCK))

    @property
    def numbers(self) -> Tensor:
        """The number of each frame within its utterance, [R, K]."""
        return self.index_N.unflatten(0, (-1, BLOCK))

    def spread(self, values_B: Tensor) -> Tensor:
        """Repeat each utterance's value for all of its frames, [R, K]."""
        return values_B.index_select(0, self.utterance_N).unflatten(0, (-1, BLOCK))

    def gather(self, parts_U: Tensor, _: Tensor) -> Tensor:
        """Prepare weights or biases for `product`. Biases are copied to their blocks, in float32 for their gradients.
        Matrices stay one per strip: a matrix for every block of every layer would take too much memory."""
        return _OfBlocks.apply(parts_U, self.owner_R, self.strips) if parts_U.shape[-2] == 1 else parts_U

    def product(self, frames_RKX: Tensor, weight_UXY: Tensor, bias_R1Y: Tensor) -> Tensor:
        """Multiply every frame by its own strip's matrix and add its bias, [R, K, Y]."""
        return _Product.apply(bias_R1Y, frames_RKX, weight_UXY, self.owner_R, self.strips)

    def add_product(self, residual_RKY: Tensor, frames_RKX: Tensor, weight_UXY: Tensor) -> Tensor:
        """`residual` plus every frame times its own strip's matrix, [R, K, Y]."""
        return _Product.apply(residual_RKY, frames_RKX, weight_UXY, self.owner_R, self.strips)

    def by_utterance(self, logits_RKV: Tensor) -> Tensor:
        """Reorder logits to [B, T, V]. Past its end, an utterance repeats its last frame, which losses must ignore."""
        logits_NV = logits_RKV.flatten(0, 1)
        return logits_NV.index_select(0, self.logits_BT.flatten()).unflatten(0, self.logits_BT.shape)


class _OfBlocks(torch.autograd.Function):
    """Copy each strip's values to its blocks, [U, …] to [R, …], in at least float32."""

    @staticmethod
    def forward(ctx: Any, parts_U: Tensor, owner_R: Tensor, strips: tuple[slice, ...]) -> Tensor:
        ctx.save_for_backward(owner_R)
        ctx.strips = strips
        parts_R = parts_U.index_select(0, owner_R)
        return parts_R.to(torch.promote_types(parts_R.dtype, torch.float32))

    @staticmethod
    def backward(ctx: Any, *grads_R: Tensor) -> tuple[Tensor, None, None]:
        (owner_R,) = ctx.saved_tensors
        return _sum_of_blocks(grads_R[0], owner_R, ctx.strips), None, None


class _Product(torch.autograd.Function):
    """`added` plus each block's frames times its strip's matrix; saves one matrix per strip, not per block.

    The gradient of a matrix is one product per strip, and a pass has few strips. No other strip and no filler at the
    end of the pass contributes to it. A bfloat16 product is summed in float32 and rounded once.
    """

    @staticmethod
    def forward(
        ctx: Any, added: Tensor, frames_RKX: Tensor, weight_UXY: Tensor, owner_R: Tensor, strips: tuple[slice, ...]
    ) -> Tensor:
        ctx.save_for_backward(frames_RKX, weight_UXY, owner_R)
        ctx.strips = strips
        ctx.is_bias, ctx.dtype = added.shape[1] == 1, added.dtype
        return torch.baddbmm(added.to(frames_RKX.dtype), frames_RKX, _of_blocks(weight_UXY, owner_R))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        frames_RKX, weight_UXY, owner_R = ctx.saved_tensors
        (grad_RKY,) = grads
        needs_added, needs_frames, needs_weight, *_ = ctx.needs_input_grad
        added = frames = weight = None
        if needs_added:
            added = grad_RKY.sum(1, keepdim=True, dtype=ctx.dtype) if ctx.is_bias else grad_RKY
        if needs_frames:
            frames = torch.bmm(grad_RKY, _of_blocks(weight_UXY, owner_R).mT)
        if needs_weight:  # in the weight's memory layout
            if weight_UXY.stride(-1) == 1:
                weight = _of_strips(frames_RKX, grad_RKY, ctx.strips)
            else:
                weight = _of_strips(grad_RKY, frames_RKX, ctx.strips).mT
        return added, frames, weight, None, None


def _of_blocks(weight_UXY: Tensor, owner_R: Tensor) -> Tensor:
    """Copy each block's matrix, keeping its memory layout."""
    if weight_UXY.stride(-1) == 1:
        return weight_UXY.index_select(0, owner_R)
    return weight_UXY.mT.index_select(0, owner_R).mT


def _of_strips(left_RKX: Tensor, right_RKY: Tensor, strips: tuple[slice, ...]) -> Tensor:
    """For each strip, sum the products of both over its frames, [U, X, Y]."""
    products_UXY = left_RKX.new_empty(len(strips), left_RKX.shape[-1], right_RKY.shape[-1])
    for strip, product_XY in zip(strips, products_UXY.unbind(), strict=True):
        torch.mm(left_RKX[strip].flatten(0, 1).T, right_RKY[strip].flatten(0, 1), out=product_XY)
    return products_UXY


def _sum_of_blocks(grads_R: Tensor, owner_R: Tensor, strips: tuple[slice, ...]) -> Tensor:
    """Sum over the blocks of each strip, in a fixed order.

    A GPU's `index_add_` uses atomics, which add in any order, so on a GPU each strip has its own sum. A CPU's
    `index_add_` adds block after block, whatever the width; its `sum` uses another order for the last columns of an odd
    width.
    """
    if grads_R.device.type != "cpu":
        return torch.stack([grads_R[strip].sum(0) for strip in strips])
    sums_U, own = grads_R.new_zeros(len(strips), *grads_R.shape[1:]), slice(strips[-1].stop)
    return sums_U.index_add_(0, owner_R[own], grads_R[own])


@torch.no_grad()
def gapped_positions(frames: PackedFrames, base: FrozenBase, hidden_NH: Tensor) -> Tensor:
    """Run the positional convolution [N, H] on all utterances at once, with zeros between them."""
    row_PH = hidden_NH.new_zeros(frames.gapped_rows, hidden_NH.shape[1])
    row_PH.index_copy_(0, frames.gapped_N, hidden_NH)  # filler writes the same values as the frame it copies
    return base.positions(row_PH.unsqueeze(0)).squeeze(0).index_select(0, frames.gapped_N)


@torch.no_grad()
def positions_one_by_one(frames: PackedFrames, base: FrozenBase, hidden_NH: Tensor) -> Tensor:
    """The same, one utterance at a time, which is fastest on a CPU. Filler becomes zeros."""
    segments = frames.attend
    parts = zip(hidden_NH.split(segments.lengths), segments.is_filler, strict=True)
    return torch.cat(
        [
            torch.zeros_like(part_TH) if skip else base.positions(part_TH.unsqueeze(0)).squeeze(0)
            for part_TH, skip in parts
        ]
    )
