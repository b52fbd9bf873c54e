"""Divide the memory that a process may page-lock for its GPU.

Staging of passes comes first, because every pass of a run needs it. Features waiting to be written to a disk come next.
Cached front-end features get the rest. Sizes are powers of two, as torch allocates them.
"""

from dataclasses import dataclass

from mms_dist.features.feature_spill import SPILL_BYTES
from mms_dist.model.base_shape import FRAMES_PER_SECOND
from mms_dist.model.staging import BLOCKS
from mms_dist.model.transfer import power_of_two
from shards.schema import SAMPLE_RATE

CACHE_SHARE = 0.8
"""Largest share of a process's page-locked memory for cached features, unless the configuration sets a size."""
STAGING_SHARE = 0.5
"""Largest share of that memory for staging passes."""
_AUDIO_BYTES_PER_SECOND = 2 * SAMPLE_RATE
_TABLE_BYTES_PER_SECOND = 8_000
"""About twice the size of the index tables of packed passes, the masks and the labels."""
_MARGIN = 1.25
"""Packers may slightly exceed the size of a pass, and a packed pass rounds its recording up."""


@dataclass(frozen=True)
class PinnedMemory:
    """Page-locked memory of one process, in bytes."""

    staging: int
    """Shared by training and evaluation, which never run at the same time."""
    spill: int
    cache: int


def pass_bytes(seconds: float, *, channels: int, feature_bytes: int) -> int:
    """Return the most bytes that a pass of `seconds` of audio sends to the device.

    Args:
        channels: front-end channels.
        feature_bytes: bytes per feature number; 0: features are not cached, so audio is always sent.
    """
    each = max(_AUDIO_BYTES_PER_SECOND, FRAMES_PER_SECOND * channels * feature_bytes) + _TABLE_BYTES_PER_SECOND
    return round(_MARGIN * seconds * each)


def divide(budget_bytes: int, *, pass_bytes: int, cache_bytes: int | None, spills: bool) -> PinnedMemory:
    """Divide the budget; the parts never exceed it.

    Args:
        cache_bytes: size of the feature cache set by the configuration; None: a share.
        spills: whether features that do not fit go to a disk.
    """
    most = power_of_two(int(STAGING_SHARE * budget_bytes) // BLOCKS, down=True)
    staging = BLOCKS * min(power_of_two(pass_bytes), most)
    left = budget_bytes - staging
    spill = min(SPILL_BYTES, left // 2) if spills and cache_bytes != 0 else 0
    wanted = int(CACHE_SHARE * budget_bytes) if cache_bytes is None else cache_bytes
    return PinnedMemory(staging, spill, min(wanted, left - spill))
