"""Randomness that belongs to an utterance, not to a batch.

Every draw is a function of a key derived from (seed, language, epoch, utterance). So it is the same for an utterance
alone or in a mixed batch, on any number of processes, and after a restart (DESIGN, invariants I1 and I7).

Legend: B utterances, T frames, H channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Spans:
    """SpecAugment's settings for one utterance: the share of each axis to mask, and the length of a masked span."""

    time_prob: float
    time_length: int
    channel_prob: float
    channel_length: int


def spec_augment(
    keys: Sequence[int], frames: Sequence[int], spans: Sequence[Spans], *, longest: int, hidden: int
) -> tuple[Tensor | None, Tensor | None]:
    """Draw masks over frames [B, T] and channels [B, H] (SpecAugment, Park et al. 2019, as in wav2vec 2.0 fine-tuning).

    A span may start wherever it fits, and no start is drawn twice. The number of spans is the share times the axis
    length divided by the span length, rounded at random. An axis shorter than a span is not masked. An empty mask is
    returned as None.
    """
    time_BT = np.zeros((len(keys), longest), dtype=bool)
    channel_BH = np.zeros((len(keys), hidden), dtype=bool)
    for row, (key, length, own) in enumerate(zip(keys, frames, spans, strict=True)):
        random = np.random.Generator(np.random.Philox(key=key))
        _mask_spans(time_BT[row, :length], own.time_prob, own.time_length, random)
        _mask_spans(channel_BH[row], own.channel_prob, own.channel_length, random)
    return (
        torch.from_numpy(time_BT) if time_BT.any() else None,
        torch.from_numpy(channel_BH) if channel_BH.any() else None,
    )


def _mask_spans(axis: np.ndarray, prob: float, length: int, random: np.random.Generator) -> None:
    rounding = random.random()
    places = len(axis) - length + 1
    count = min(int(prob * len(axis) / length + rounding), places)
    if prob == 0 or count <= 0:
        return
    for start in random.choice(places, size=count, replace=False):
        axis[start : start + length] = True
