"""How the utterances of a packed pass lie in its tensors: end to end, in blocks that belong to one language each.

A block is a row as an utterance is one in a padded pass, [R, K, …], so that everything that works frame by frame, and
what takes each row through its own language's matrices, is the same code for both. All blocks of all passes have one
shape: the same kernels for every frame, whatever else is in the pass. (`torch.nn.functional.grouped_mm` would take
languages of any size, but waits for the device on all but compute capabilities 9.0 and 10.x, and takes neither
float32 there nor rows that are no multiple of 16 bytes: GroupedBlas.cpp of torch 2.11 to 2.13.)

Legend: B utterances, U languages, N frames of the pass, R blocks of K frames, C front-end channels, H hidden size, X
and Y the two sides of a matrix, P rows of the positional convolution, T frames of the longest utterance.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_tables import BLOCK, PackedTables
from mms_dist.model.padded_frames import row_product
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
        """Every frame times its own language's matrix, plus its bias, [R, K, Y]."""
        return row_product(frames_RKX, weight_UXY, bias_U1Y, owner_R)

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
