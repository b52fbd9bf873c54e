"""How well a text fits an utterance: the score by which wrong transcripts are found.

    score = (log P(text | audio) − log P(best path | audio)) / (labels + 3)

P(text | audio) is CTC's probability of the text, over all its paths (Graves et al. 2006, equation 3), and the best path
is what greedy decoding takes, whatever its text. The difference is what it costs to believe the text. It is 0 or a
little above where the model hears the text, and the further below, the more of it the model does not hear. The three
labels that are added keep short texts from extreme scores: they count as heard.

Scores depend on the model. Those of different models say nothing about each other, so each is stored with the name of
its model.

Legend: T frames, V labels of the vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import ctc_loss

from shards.vocabulary import BLANK, UNKNOWN

ADDED_LABELS = 3
FARTHEST = 10.0
"""Nats by which a label is at most less likely than the likeliest one of its frame: no frame decides alone."""
WORST = -20.0
"""The score of a text that does not fit into the frames, and the lowest of others."""


def bounded(log_prob_TV: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return log-probabilities relative to the likeliest label of each frame, and not below `-FARTHEST`."""
    likeliest_T1 = log_prob_TV.max(axis=1, keepdims=True)
    return np.maximum(log_prob_TV - likeliest_T1, -FARTHEST, dtype=np.float32, casting="same_kind")


def score_of(log_prob_TV: NDArray[np.floating], labels: Sequence[int]) -> float:
    """Return the score of a text.

    Args:
        labels: ids of the text. Characters that are not in the vocabulary do not count.
    """
    known = [label for label in labels if label != UNKNOWN]
    loss = ctc_loss(
        torch.from_numpy(bounded(log_prob_TV))[:, None],
        torch.tensor([known], dtype=torch.long),
        torch.tensor([len(log_prob_TV)]),
        torch.tensor([len(known)]),
        blank=BLANK,
        reduction="none",
    )
    return max(-float(loss) / (len(known) + ADDED_LABELS), WORST)
