"""Dropout masks of padded utterances, one layer at a time.

Legend: B utterances, T frames, D channels.
"""

import torch
from torch import Tensor

from mms_dist.model.dropout import DropoutMasks


def keep_mask(keys_B: Tensor, layer: int, shape: torch.Size, rates_B: Tensor, dtype: torch.dtype) -> Tensor:
    """What a bottleneck [B, T, D] is multiplied by in `layer`."""
    _, frames, channels = shape
    masks = DropoutMasks.draw(
        keys_B[:, None],
        torch.arange(frames)[None],
        rates_B[:, None],
        layers=layer + 1,
        channels=channels,
        width=channels,
        dtype=dtype,
    )
    return masks.of_layer(layer)
