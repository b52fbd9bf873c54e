"""The schema of shards: constants, and the relation between samples, frames and labels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import overload

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
SCHEMA_VERSION = 1

INDEX_NAME = "index.json"
TABLE_NAME = "samples.parquet"
VOCABULARY_NAME = "vocab.json"
# Holds all files of a build except the shards. Readers ignore it.
WORK_FOLDER = ".build"

# (kernel, stride) of the seven convolutions before every wav2vec 2.0 and MMS encoder:
# Baevski et al. 2020, https://arxiv.org/abs/2006.11477, section 4.2.
FRONT_END = ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2))
FRAME_SAMPLES = prod(stride for _, stride in FRONT_END)
"""Samples from the beginning of one output frame to that of the next: 20 ms."""


@overload
def frames_of(samples: int) -> int: ...
@overload
def frames_of(samples: NDArray[np.integer]) -> NDArray[np.int64]: ...
def frames_of(samples: int | NDArray[np.integer]) -> int | NDArray[np.int64]:
    """Return the front end's output frames for `samples` audio samples at 16 kHz (0 if too few for one frame)."""
    length = np.asarray(samples, dtype=np.int64)
    for kernel, stride in FRONT_END:
        length = np.maximum((length - kernel) // stride + 1, 0)
    return int(length) if isinstance(samples, int | np.integer) else length


def required_frames(label_ids: Sequence[int] | str) -> int:
    """Return the minimum frames with which CTC can emit these labels: one each, and a blank between equal neighbours.

    Graves et al. 2006, section 3: https://www.cs.toronto.edu/~graves/icml_2006.pdf
    """
    repeats = sum(1 for left, right in itertools.pairwise(label_ids) if left == right)
    return len(label_ids) + repeats
