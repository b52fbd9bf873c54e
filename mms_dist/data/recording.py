"""The audio of a packed pass as one long recording, for a front end that is fastest on one.

Legend: B utterances, S samples.
"""

from collections.abc import Sequence

import numpy as np


def one_recording(audio: Sequence[np.ndarray], starts_B: np.ndarray, seen_B: np.ndarray, out_S: np.ndarray) -> None:
    """Write each utterance's first `seen_B` samples, those that a frame of it sees, at its place; zeros elsewhere.

    Args:
        audio: samples of each utterance.
        starts_B, seen_B: of `PackedTables`: they lie further apart than any frame can see.
        out_S: is filled, whatever was in it.
    """
    out_S[:] = 0
    for samples, start, seen in zip(audio, starts_B.tolist(), seen_B.tolist(), strict=True):
        out_S[start : start + seen] = samples[:seen]
