"""Check decoded float samples.

Legend: `[F, C]` samples of a recording as stored, by channel.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shards.audio.audio_errors import FloatScaleError, NotFiniteError

# Float samples up to this peak were mixed too loud and are clipped. Above it, they have another scale.
_LOUDEST = 4.0


def check_scale(stored: NDArray[np.float32]) -> None:
    """Check that samples `[F, C]` are finite and scaled to -1 … 1.

    Raises:
        NotFiniteError: some are NaN or infinite.
        FloatScaleError: they have another scale.
    """
    if not stored.size:
        return
    low, high = float(stored.min()), float(stored.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        wrong = int(np.count_nonzero(~np.isfinite(stored)))
        raise NotFiniteError(f"{wrong:,} of its {stored.size:,} float samples are NaN or infinite")
    peak = max(-low, high)
    if peak > _LOUDEST:
        reached = f"{peak:,.0f}" if peak >= 100 else f"{peak:.1f}"
        raise FloatScaleError(
            f"its float samples reach {reached}, expected -1 … 1",
            fix="scale them (by 1/32768, if they were converted from 16-bit integers)",
        )
