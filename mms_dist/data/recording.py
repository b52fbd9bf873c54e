"""The audio of a packed pass as one long recording, for a front end that is fastest on one.

Legend: M utterances, S samples.
"""

from collections.abc import Sequence

import numpy as np


def one_recording(audio: Sequence[np.ndarray], starts_M: np.ndarray, seen_M: np.ndarray, samples: int) -> np.ndarray:
    """int16 [S] with each utterance's first `seen_M` samples, those that a frame of it sees, and zeros elsewhere.

    Args:
        audio: samples of each utterance.
        starts_M: of each its place in the recording; they lie further apart than any frame can see.
        samples: S.
    """
    out_S = np.zeros(samples, dtype=np.int16)
    for own, start, seen in zip(audio, starts_M.tolist(), seen_M.tolist(), strict=True):
        out_S[start : start + seen] = own[:seen]
    return out_S
