"""Draw the masks of the utterances of a pass.

Legend: B utterances, T frames, H channels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mms_dist.augment.kinds import SpectralAugmentation


def draw_masks(
    keys: Sequence[int],
    frames: Sequence[int],
    augmentations: Sequence[Sequence[SpectralAugmentation]],
    *,
    longest: int,
    hidden: int,
) -> tuple[Tensor | None, Tensor | None]:
    """Draw masks over frames [B, T] and channels [B, H]; an empty mask is returned as None.

    Args:
        keys: key of each utterance's random stream.
        frames: its frames.
        augmentations: its augmentations; what any of them masks is masked.
    """
    time_BT = np.zeros((len(keys), longest), dtype=bool)
    channel_BH = np.zeros((len(keys), hidden), dtype=bool)
    for row, (key, length, own) in enumerate(zip(keys, frames, augmentations, strict=True)):
        for augmentation in own:
            augmentation.mask(time_BT[row, :length], channel_BH[row], augmentation.generator(key))
    return (
        torch.from_numpy(time_BT) if time_BT.any() else None,
        torch.from_numpy(channel_BH) if channel_BH.any() else None,
    )
