"""SpecAugment: mask spans of frames and of channels (Park et al. 2019), as in wav2vec 2.0 fine-tuning.

Legend: T frames, H channels.
"""

import numpy as np
from pydantic.dataclasses import dataclass

from mms_dist.augment.kinds import SpectralAugmentation
from mms_dist.setting_types import STRICT, PositiveInt, Probability


@dataclass(frozen=True, config=STRICT)
class SpecAugment(SpectralAugmentation):
    """Spans of the front end's output that are masked.

    A span may start wherever it fits, and no start is drawn twice. The number of spans is the share times the axis
    length divided by the span length, rounded at random. An axis shorter than a span is not masked.
    """

    time_prob: Probability = 0.05
    """Fraction of frames that sampled spans cover, before overlaps."""
    time_length: PositiveInt = 10
    """Frames in a masked span (one frame is 20 ms). Shorter utterances are not masked."""
    feature_prob: Probability = 0.0
    """The same for feature channels."""
    feature_length: PositiveInt = 64
    """Channels in a masked span."""

    @property
    def is_on(self) -> bool:
        return self.time_prob > 0 or self.feature_prob > 0

    def generator(self, key: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=key))  # as in runs of the time when there was no other one

    def mask(self, time_T: np.ndarray, channel_H: np.ndarray, random: np.random.Generator) -> None:
        _mask_spans(time_T, self.time_prob, self.time_length, random)
        _mask_spans(channel_H, self.feature_prob, self.feature_length, random)


def _mask_spans(axis: np.ndarray, prob: float, length: int, random: np.random.Generator) -> None:
    rounding = random.random()
    places = len(axis) - length + 1
    count = min(int(prob * len(axis) / length + rounding), places)
    if prob == 0 or count <= 0:
        return
    for start in random.choice(places, size=count, replace=False):
        axis[start : start + length] = True
