"""Greedy CTC decoding of a mixed-language batch.

Legend: B utterances, T output frames.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mms_dist.config import Evaluation
from shards.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor


class Greedy:
    """Takes the most likely path of every utterance. Of the logits, only the label of each frame reaches the host."""

    def __init__(self, language: str, vocabulary: Vocabulary, settings: Evaluation) -> None:
        self._vocabulary = vocabulary

    def keep(self, logits_BTV: "Tensor") -> "Tensor":
        return logits_BTV.argmax(-1)

    def texts(self, kept_BT: np.ndarray, frames_B: np.ndarray) -> list[str]:
        return greedy(kept_BT, frames_B, self._vocabulary)


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
