"""Passes laid out end to end, a strip for every language, for tests that know them padded."""

from collections.abc import Sequence

import numpy as np
import torch

from mms_dist.model.packed_frames import PackedFrames
from mms_dist.model.packed_tables import BLOCK, end_to_end, packed_tables
from mms_dist.model.routed import DeviceInput, ModelInput, RoutedModel

SIZE = 512
"""Frames of a pass, some of them filler."""


def packed_size(frames_B: np.ndarray, strip_B: np.ndarray) -> int:
    """Frames that these utterances take: whole blocks for every strip."""
    strips = [int(frames_B[strip_B == strip].sum()) for strip in np.unique(strip_B)]
    return sum(-(-frames // BLOCK) * BLOCK for frames in strips)


def as_packed(model: RoutedModel, batch: ModelInput, *, size: int = SIZE, order: Sequence[int]) -> DeviceInput:
    """The same utterances packed in this order, each with the features it has in the padded pass."""
    rows = list(order)
    frames_B, slots_B = batch.frames_B[rows], batch.slots_B[rows]
    strip_B = np.cumsum([0, *(slots_B[1:] != slots_B[:-1]).tolist()])
    tables = packed_tables(frames_B.numpy(), strip_B, size=size, gap=model.base.position_gap)
    tensors = PackedFrames.to_send(tables, end_to_end(tables.frames_B))
    slots_U = slots_B[torch.from_numpy(tables.utterance_U)]
    sizes = [model.bank.vocabulary_sizes[slot] for slot in slots_U.tolist()]

    def chosen(tensor: torch.Tensor | None) -> torch.Tensor | None:
        return None if tensor is None else tensor[rows]

    time_BT = chosen(batch.time_BT)
    return DeviceInput(
        frames=PackedFrames.of(tables, tensors),
        features=torch.cat([batch.features_BTC[row, : int(batch.frames_B[row])] for row in rows]),
        slots_U=slots_U,
        owner_B=tensors["owners"],
        sizes_U=torch.tensor(sizes),
        largest_vocabulary=max(sizes),
        keys_B=chosen(batch.keys_B),
        time=None if time_BT is None else time_BT[tensors["utterances of frames"], tensors["numbers of frames"]],
        channel_BH=chosen(batch.channel_BH),
        dropout_B=chosen(batch.dropout_B),
    )
