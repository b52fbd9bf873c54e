"""A character n-gram in the beam search. Every text can be written.

Legend: B utterances, K hypotheses of each, C labels under consideration, N states, V the vocabulary.
"""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.fusion import FIRST_LABEL, State
from mms_dist.decoding.row_cache import RowCache
from mms_dist.errors import DataError
from mms_dist.language_model.interface import LanguageModel
from mms_dist.language_model.scoring import log_probs
from mms_dist.language_model.units import END, UNKNOWN
from mms_dist.language_model.units import SPACE as SPACE_WORD
from shards.vocabulary import SPACE, Vocabulary

_LEAST_KNOWN = 0.5


class CharacterRows:
    """A character model over a vocabulary's labels: column V stands for the end."""

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary) -> None:
        ids = model.ids
        self._model = model
        self._end = len(vocabulary)
        self._characters_VL = _spelled(vocabulary, ids, ids.get(SPACE_WORD, UNKNOWN), UNKNOWN)
        labels = self._characters_VL[FIRST_LABEL + 1 :]
        self.known = float(((labels != UNKNOWN).all(axis=1)).mean()) if len(labels) else 1.0
        self.cache = RowCache(model.states, len(vocabulary) + 1, self._compute)

    def _compute(self, states: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        score_NV = np.zeros((len(states), self._end + 1))
        next_NV = np.repeat(states.astype(np.int32)[:, None], self._end + 1, axis=1)
        for character_V in self._characters_VL.T:
            label_M = np.flatnonzero(character_V >= 0)
            pairs = (next_NV[:, label_M].ravel(), np.tile(character_V[label_M], len(states)))
            log_prob, after = self._model.advance(*pairs)
            score_NV[:, label_M] += log_prob.reshape(len(states), -1)
            next_NV[:, label_M] = after.reshape(len(states), -1)
        score_NV[:, self._end], _ = self._model.advance(states, np.full(len(states), END))
        return score_NV, next_NV


class CharacterFusion:
    """Fuses a character model; a unit is a character or a space between words.

    Args:
        model: with `|` for the space.
        vocabulary: the one of the logits.
        alpha: weight of the model's log-probability.
        beta: added for each unit.

    Raises:
        DataError: it is a model of words, or lacks most of the vocabulary's characters.
    """

    def __init__(self, model: LanguageModel, vocabulary: Vocabulary, alpha: float = 0.5, beta: float = 0.0) -> None:
        if model.unit != "char":
            raise DataError("the language model has words as its units, expected characters")
        self.alpha = alpha
        self.beta = beta
        self._model = model
        self._rows = CharacterRows(model, vocabulary)
        self._end = len(vocabulary)
        if self._rows.known < _LEAST_KNOWN:
            raise DataError(
                f"the language model has only {self._rows.known:.0%} of the characters of {vocabulary.language}",
                fix="give a model of this language and script, made from text that is normalised like the transcripts",
            )

    def start(self, rows: int) -> State:
        state = np.full((rows, 1), self._model.start, np.int32)
        return state, state.copy(), np.zeros((rows, 1))

    def extend(self, state: State, label_BC: NDArray[np.integer]) -> NDArray[np.floating]:
        return self.alpha * self._rows.cache.grid(state[0], label_BC) + self.beta

    def advance(self, state: State, label_BK: NDArray[np.integer]) -> State:
        # Beside the model's state, what is to be taken back if the text ends with this space.
        context_BK, end_BK, space_BK = state
        score_BK, next_BK = self._rows.cache.pairs(context_BK, label_BK)
        after_BK = np.where(label_BK < 0, context_BK, next_BK)
        is_space_BK = label_BK == SPACE
        gain_BK = self.alpha * score_BK + self.beta
        end_BK = np.where(label_BK < 0, end_BK, np.where(is_space_BK, context_BK, after_BK))
        space_BK = np.where(label_BK < 0, space_BK, np.where(is_space_BK, gain_BK, 0.0))
        return after_BK, end_BK, space_BK

    def finish(self, state: State) -> NDArray[np.floating]:
        _, end_BK, space_BK = state
        score_BK, _ = self._rows.cache.pairs(end_BK, self._end)
        return self.alpha * score_BK - space_BK

    def score(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        found = log_probs(self._model, texts)
        return np.array([each.sum() for each in found]), np.array([len(each) - 1 for each in found], np.int64)

    def weighted(self, alpha: float, beta: float) -> "CharacterFusion":
        other = copy.copy(self)
        other.alpha, other.beta = alpha, beta
        return other


def _spelled(vocabulary: Vocabulary, ids: Mapping[str, int], space: int, unknown: int) -> NDArray[np.int32]:
    """Return the characters of each label as a character model's ids, `[V, longest label]`; -1 fills.

    Args:
        ids: of the model's characters.
        space: id of the space.
        unknown: id for characters that the model lacks.
    """
    labels = [[ids.get(character, unknown) for character in token] for token in vocabulary.tokens]
    for number in range(FIRST_LABEL):
        labels[number] = []
    labels[SPACE] = [space]
    table = np.full((len(labels), max(map(len, labels))), -1, np.int32)
    for number, characters in enumerate(labels):
        table[number, : len(characters)] = characters
    return table
