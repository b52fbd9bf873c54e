"""Greedy CTC decoding of a mixed-language batch.

Legend: B utterances, T output frames.
"""

from collections.abc import Sequence

import numpy as np

from shards.vocabulary import Vocabulary


def greedy(ids_BT: np.ndarray, frames_B: np.ndarray, vocabularies: Vocabulary | Sequence[Vocabulary]) -> list[str]:
    """Decode the best path of every utterance to text.

    Take the most probable label of each frame, collapse repeats, then drop blanks (Graves et al. 2006,
    "Connectionist Temporal Classification", section 3.2, best path decoding).

    Args:
        ids_BT: int, the argmax over labels of every frame; frames from `frames_B` on are padding.
        frames_B: int, number of frames of each utterance.
        vocabularies: one for the whole batch, or one per utterance.

    Returns:
        B transcripts; a path of only blanks is the empty string.
    """
    rows = len(ids_BT)
    if isinstance(vocabularies, Vocabulary):
        vocabularies = [vocabularies] * rows
    assert len(frames_B) == len(vocabularies) == rows, (rows, len(frames_B), len(vocabularies))
    return [
        vocabulary.decode(ids_T[:frames].tolist())
        for ids_T, frames, vocabulary in zip(ids_BT, frames_B, vocabularies, strict=True)
    ]
