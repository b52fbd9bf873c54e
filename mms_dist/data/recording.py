"""Join the audio of a packed pass into one long recording, which the front end processes fastest.

Legend: M utterances, S samples.
"""

from collections.abc import Sequence

import numpy as np


def one_recording(audio: Sequence[np.ndarray], starts_M: np.ndarray, seen_M: np.ndarray, samples: int) -> np.ndarray:
    """Return int16 [S] with each utterance's first `seen_M` samples, and zeros elsewhere.

    Args:
        audio: samples of each utterance.
        starts_M: start of each utterance in the recording, far enough apart that no frame covers two utterances.
        seen_M: samples of each utterance that its frames cover.
        samples: S.
    """
    out_S = np.zeros(samples, dtype=np.int16)
    for own, start, seen in zip(audio, starts_M.tolist(), seen_M.tolist(), strict=True):
        out_S[start : start + seen] = own[:seen]
    return out_S
