"""The decoder `beam_search`: CTC prefix beam search, with the language's own language model if there is one.

Legend: B utterances, T frames, V tokens of the language's vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mms_dist.config import Evaluation
from mms_dist.decoding.greedy import greedy
from mms_dist.decoding.search_settings import SearchSettings
from shards.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

LogProbs = NDArray[np.float32]


class BeamSearchDecoder:
    """Takes the most likely text of every utterance; `evaluation.language_model` and the weights beside it decide."""

    def __init__(self, language: str, vocabulary: Vocabulary, settings: Evaluation) -> None:
        self._search = SearchSettings.of(vocabulary, settings).search()

    def keep(self, logits_BTV: "Tensor") -> "Tensor":
        return log_probs(logits_BTV)

    def texts(self, kept_BT: np.ndarray, frames_B: np.ndarray) -> list[str]:
        return [found[0].text for found in self._search.decode(without_padding(kept_BT, frames_B))]


class GreedyAndRecord:
    """Decodes greedily, and gives the log-probabilities of every pass to `record`."""

    def __init__(self, vocabulary: Vocabulary, record: Callable[[Sequence[LogProbs]], object]) -> None:
        self._vocabulary = vocabulary
        self._record = record

    def keep(self, logits_BTV: "Tensor") -> "Tensor":
        return log_probs(logits_BTV)

    def texts(self, kept_BT: np.ndarray, frames_B: np.ndarray) -> list[str]:
        self._record(without_padding(kept_BT, frames_B))
        return greedy(kept_BT.argmax(-1), frames_B, self._vocabulary)


def log_probs(logits_BTV: "Tensor") -> "Tensor":
    """Return the log-probabilities `[B, T, V]` in float32."""
    return logits_BTV.float().log_softmax(-1)


def without_padding(log_prob_BTV: LogProbs, frames_B: np.ndarray) -> list[LogProbs]:
    """Return those of each utterance, `[T, V]`, without the frames of padding."""
    return [log_prob_TV[:frames] for log_prob_TV, frames in zip(log_prob_BTV, frames_B, strict=True)]
