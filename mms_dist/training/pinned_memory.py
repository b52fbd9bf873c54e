"""How the memory that a process may page-lock for its GPU is divided.

First come passes on their way to the device, which every pass of a run needs, then features on their way to a disk, and
front-end features of earlier epochs have what is left. Sizes are counted as torch takes them, in powers of two.
"""

from dataclasses import dataclass

from mms_dist.model.shape import FRAMES_PER_SECOND
from mms_dist.training.feature_spill import SPILL_BYTES
from mms_dist.training.staging import BLOCKS
from mms_dist.transfer import power_of_two
from shards.schema import SAMPLE_RATE

CACHE_SHARE = 0.8
"""Of a process's page-locked memory, the most that front-end features take where the configuration leaves it open."""
STAGING_SHARE = 0.5
"""The most that passes on their way take of it."""
_AUDIO_BYTES_PER_SECOND = 2 * SAMPLE_RATE
_TABLE_BYTES_PER_SECOND = 8_000
"""Index tables of packed passes, masks, labels: about half of that."""
_ROOM = 1.25
"""Packers fill some passes a little further, and a packed pass rounds its recording up."""


@dataclass(frozen=True)
class PinnedMemory:
    """Bytes of one process."""

    staging: int
    """For training and evaluation together: one follows the other."""
    spill: int
    cache: int


def pass_bytes(seconds: float, *, channels: int, feature_bytes: int) -> int:
    """What a pass of so much audio sends to the device at most.

    Args:
        channels: of the front end.
        feature_bytes: of a number of it; 0: features are not remembered, and audio is sent always.
    """
    each = max(_AUDIO_BYTES_PER_SECOND, FRAMES_PER_SECOND * channels * feature_bytes) + _TABLE_BYTES_PER_SECOND
    return round(_ROOM * seconds * each)


def divide(budget_bytes: int, *, pass_bytes: int, cache_bytes: int | None, spills: bool) -> PinnedMemory:
    """Within the budget whatever is asked for.

    Args:
        cache_bytes: asked for by the configuration; None: a share.
        spills: whether features that find no room go to a disk.
    """
    most = power_of_two(int(STAGING_SHARE * budget_bytes) // BLOCKS, down=True)
    staging = BLOCKS * min(power_of_two(pass_bytes), most)
    left = budget_bytes - staging
    spill = min(SPILL_BYTES, left // 2) if spills and cache_bytes != 0 else 0
    wanted = int(CACHE_SHARE * budget_bytes) if cache_bytes is None else cache_bytes
    return PinnedMemory(staging, spill, min(wanted, left - spill))
