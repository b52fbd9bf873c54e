"""Passes laid out end to end, a strip for every language, for tests that know them padded."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from mms_dist.model.base import FrozenBase
from mms_dist.model.packed_tables import packed_tables
from mms_dist.model.routed import Batch

SIZE = 512
"""Frames of a pass, some of them filler."""


def as_packed(base: FrozenBase, batch: Batch, *, size: int = SIZE, order: Sequence[int] | None = None) -> Batch:
    """The same utterances packed, in this order (by slot if None), each with the features it has in the padded pass."""
    rows = torch.argsort(batch.slots_B, stable=True).tolist() if order is None else list(order)
    frames_B = batch.frames_B[rows]
    changes = batch.slots_B[rows][1:] != batch.slots_B[rows][:-1]
    strip_B = np.cumsum([0, *changes.tolist()])
    tables = packed_tables(frames_B.numpy(), strip_B, size=size, gap=base.position_gap, seam=0)
    features = [batch.features_BTC[row, : int(batch.frames_B[row])] for row in rows]

    def chosen(tensor: torch.Tensor | None) -> torch.Tensor | None:
        return None if tensor is None else tensor[rows]

    return replace(
        batch,
        features_BTC=torch.cat(features),
        frames_B=frames_B,
        slots_B=batch.slots_B[rows],
        keys_B=chosen(batch.keys_B),
        time_BT=chosen(batch.time_BT),
        channel_BH=chosen(batch.channel_BH),
        dropout_B=chosen(batch.dropout_B),
        tables=tables,
    )
