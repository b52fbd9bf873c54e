"""A word n-gram in the beam search, with an open vocabulary.

A word that the model has costs log p(word|history). One that it lacks costs log p(<unk>|history) + log s(word): the
model says how likely a new word is, and `s`, a character n-gram of the model's own words, which one. So any word can be
written, and the probabilities of all words sum to 1 (for a model with `interpolate_unigrams=False`; see `estimate`).

Within a word, a hypothesis has the score of the likeliest way on: the summed unigram probability of the words that
begin like this (language model look-ahead, Ortmanns et al. 1996), or that of a new word, whichever is greater. At the
word's end its true score takes that place.

Legend: B utterances, K hypotheses of each, C labels under consideration, Q queries.
"""

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.character_fusion import CharacterRows
from mms_dist.decoding.fusion import State
from mms_dist.decoding.word_trie import ROOT, WordTrie
from mms_dist.errors import DataError
from mms_dist.language_model.interface import LanguageModel
from mms_dist.language_model.kneser_ney import train
from mms_dist.language_model.scoring import log_probs
from mms_dist.language_model.units import END, SPECIAL, UNKNOWN
from shards.vocabulary import SPACE, Vocabulary

SPELLING_ORDER = 5
_MOST_SPELLED = 200_000  # words that the spelling model is made from; more change nothing but the time
_LEAST_KNOWN = 0.5


class WordFusion:
    """Fuses a word model; a unit is a word.

    Args:
        model: with the words as the transcripts write them.
        vocabulary: the one of the logits.
        alpha: weight of the model's log-probability.
        beta: added for each word.
        unknown_offset: added to the log-probability of a word that the model lacks; `-inf` closes the vocabulary.

    Raises:
        DataError: it is a model of characters, or most of its words cannot be spelled with the vocabulary.
    """

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: Vocabulary,
        alpha: float = 0.5,
        beta: float = 0.0,
        *,
        unknown_offset: float = 0.0,
    ) -> None:
        if model.unit != "word":
            raise DataError("the language model is one of characters, expected one of words")
        words = model.words
        self.alpha = alpha
        self.beta = beta
        self._model = model
        ids_W = np.arange(len(words))
        log_prob_W, _ = model.advance(np.full(len(words), model.empty), ids_W)
        self._unknown = float(log_prob_W[UNKNOWN]) + unknown_offset
        self._unknown_offset = unknown_offset
        self._trie = WordTrie(words, log_prob_W, vocabulary)
        if self._trie.known < _LEAST_KNOWN:
            raise DataError(
                f"only {self._trie.known:.0%} of the language model's words can be written with the characters of "
                f"{vocabulary.language}",
                fix="give a model of this language and script, made from text that is normalised like the transcripts",
            )
        self._vocabulary = vocabulary
        step = 1 + len(words) // _MOST_SPELLED
        self._spelling = train(words[len(SPECIAL) :: step], SPELLING_ORDER, "char")
        self._rows = CharacterRows(self._spelling, vocabulary)
        self._end = len(vocabulary)

    def start(self, rows: int) -> State:
        shape = (rows, 1)
        return (
            np.full(shape, self._model.start, np.int32),  # before the word
            np.full(shape, ROOT, np.int32),  # of the trie
            np.full(shape, self._spelling.start, np.int32),
            np.zeros(shape),  # log-probability of the spelling so far
            np.zeros(shape),  # look-ahead that the score contains
            np.full(shape, np.nan),  # log-probability of the word if it ends here, once computed
            np.zeros(shape, np.int32),  # state after that word
        )

    def extend(self, state: State, label_BC: NDArray[np.integer]) -> NDArray[np.floating]:
        _, node_BK, spelling_BK, spelled_BK, ahead_BK, word_BK, _ = state
        ahead_BKC = self._trie.cache.grid(node_BK, label_BC)
        new_BKC = self._rows.cache.grid(spelling_BK, label_BC) + (self._unknown + spelled_BK)[:, :, None]
        gain_BKC = self.alpha * (np.maximum(ahead_BKC, new_BKC) - ahead_BK[:, :, None])
        utterance, column = np.nonzero(label_BC == SPACE)
        if len(utterance):
            self._complete(state, utterance)
            gain = self.alpha * (word_BK[utterance] - ahead_BK[utterance]) + self.beta
            gain_BKC[utterance, :, column] = np.where(node_BK[utterance] == ROOT, 0.0, gain)  # no second space
        return gain_BKC

    def advance(self, state: State, label_BK: NDArray[np.integer]) -> State:
        context, node, spelling, spelled, ahead, word, after = (array.copy() for array in state)
        ended = np.nonzero(label_BK == SPACE)
        context[ended] = after[ended]
        node[ended] = ROOT
        spelling[ended] = self._spelling.start
        spelled[ended] = 0.0
        ahead[ended] = 0.0
        longer = np.nonzero(label_BK > SPACE)
        label = label_BK[longer]
        score, spelling[longer] = self._rows.cache.pairs(spelling[longer], label)
        spelled[longer] += score
        score, node[longer] = self._trie.cache.pairs(node[longer], label)
        ahead[longer] = np.maximum(score, self._unknown + spelled[longer])
        word[label_BK >= 0] = np.nan
        return context, node, spelling, spelled, ahead, word, after

    def finish(self, state: State) -> NDArray[np.floating]:
        context, node, _, _, ahead, word, after = state
        self._complete(state, np.arange(len(node)))
        in_word = node != ROOT
        last = np.where(in_word, after, context)
        end, _ = self._model.advance(last.ravel(), np.full(last.size, END))
        return self.alpha * end.reshape(last.shape) + np.where(in_word, self.alpha * (word - ahead) + self.beta, 0.0)

    def score(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        found = log_probs(self._model, texts)
        total = np.array([each.sum() for each in found])
        new = [
            (number, word) for number, text in enumerate(texts) for word in text.split() if word not in self._model.ids
        ]
        for (number, _), spelling in zip(new, log_probs(self._spelling, [word for _, word in new]), strict=True):
            total[number] += spelling.sum() + self._unknown_offset
        return total, np.array([len(each) - 1 for each in found], np.int64)

    def weighted(self, alpha: float, beta: float) -> "WordFusion":
        other = copy.copy(self)
        other.alpha, other.beta = alpha, beta
        return other

    def _complete(self, state: State, utterance: NDArray[np.integer]) -> None:
        """Compute, where it is not known yet, what the words that hypotheses are in cost if they end here."""
        context, node, spelling, spelled, _, word, after = state
        row, place = np.nonzero(np.isnan(word[utterance]) & (node[utterance] != ROOT))
        if not len(row):
            return
        where = utterance[row], place
        id_Q = self._trie.word_N[node[where]]
        new_Q = id_Q < 0
        log_prob_Q, after[where] = self._model.advance(context[where], np.where(new_Q, UNKNOWN, id_Q))
        ending_Q, _ = self._rows.cache.pairs(spelling[where], self._end)
        log_prob_Q += np.where(new_Q, self._unknown_offset + spelled[where] + ending_Q, 0.0)
        word[where] = log_prob_Q
