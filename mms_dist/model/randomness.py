"""Randomness that belongs to an utterance, not to a batch.

Every draw is a function of a key made of (seed, language, epoch, utterance), so it is the same alone and in a mixed
batch, on any number of processes, and after a restart (DESIGN, invariants I1 and I7).

Legend: B utterances, T frames, H channels, D bottleneck.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio, as a signed 64-bit integer
_MIX_1, _MIX_2 = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


@dataclass(frozen=True)
class Spans:
    """SpecAugment's settings of one utterance: share of the axis, and length of a masked span."""

    time_prob: float
    time_length: int
    channel_prob: float
    channel_length: int


def spec_augment(
    keys: Sequence[int], frames: Sequence[int], spans: Sequence[Spans], *, longest: int, hidden: int
) -> tuple[Tensor | None, Tensor | None]:
    """Masks over frames [B, T] and channels [B, H] (SpecAugment, Park et al. 2019, as wav2vec 2.0 fine-tunes with it).

    A span starts at any place where it fits, without repetition; their number is the share times the axis over the
    length of a span, rounded at random. An axis shorter than a span is left as it is. None stands for a mask
    that is empty.
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


def keep_mask(
    keys_B: Tensor,
    layer: int,
    shape: torch.Size,
    dropout_B: Tensor,
    dtype: torch.dtype,
    numbers: Tensor | None = None,
) -> Tensor:
    """Dropout's multiplier [B, T, D]: 0, or 1 / (1 - p), with each utterance's own p and stream.

    A counter-based generator (SplitMix64, Steele et al. 2014): an element depends on its key, layer, frame and
    channel alone, so neither padding nor neighbours change it.

    Args:
        keys_B, dropout_B: of each row's utterance; or of each frame's, [B, T].
        numbers: of the frames in their utterances; None: every row begins one.
    """
    _, frames, width = shape
    keys_BT, rates_BT = keys_B.reshape(len(keys_B), -1), dropout_B.reshape(len(dropout_B), -1)
    if numbers is None:
        numbers = torch.arange(frames, device=keys_B.device)[None]
    counter_BTD = numbers[:, :, None] * width + torch.arange(width, device=keys_B.device) + (layer << 40)
    bits_BTD = _mix(keys_BT[:, :, None] + (counter_BTD + 1) * _GOLDEN)
    uniform_BTD = _shift(bits_BTD, 11).to(torch.float64) * 2.0**-53
    kept_BTD = uniform_BTD >= rates_BT[:, :, None]
    return kept_BTD.to(dtype) / (1 - rates_BT[:, :, None]).to(dtype)


def _mix(bits: Tensor) -> Tensor:
    bits = (bits ^ _shift(bits, 30)) * _MIX_1
    bits = (bits ^ _shift(bits, 27)) * _MIX_2
    return bits ^ _shift(bits, 31)


def _shift(bits: Tensor, places: int) -> Tensor:
    """Logical shift to the right; torch's own keeps the sign."""
    return (bits >> places) & ((1 << (64 - places)) - 1)
