"""The words of a language model as a tree of labels, with what the model expects below each node.

Legend: W words, N nodes, V the vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.fusion import FIRST_LABEL
from mms_dist.decoding.row_cache import RowCache
from mms_dist.language_model.units import SPECIAL
from shards.vocabulary import Vocabulary

ROOT = 0


class WordTrie:
    """A prefix tree. Node 0 is the root; node `outside` stands for every spelling that begins no word.

    Args:
        words: the model's; the special ones are left out, and those that the vocabulary cannot spell.
        log_prob_W: the words' log-probabilities without any context, in nats.

    Attributes:
        log_mass_N: the logarithm of the summed probability of the words below each node: 0 at the root, -inf outside.
        word_N: id of the word that ends at each node, or -1.
        known: share of the words' probability that the vocabulary can spell.
        cache: for a node, each label's `log_mass` and node.
    """

    def __init__(self, words: Sequence[str], log_prob_W: NDArray[np.floating], vocabulary: Vocabulary) -> None:
        label_of = {token: number for number, token in enumerate(vocabulary.tokens) if number > FIRST_LABEL}
        spellings = [
            (number, labels)
            for number, word in enumerate(words)
            if number >= len(SPECIAL) and (labels := _labels(word, label_of)) is not None
        ]
        prob_W = np.exp(log_prob_W)
        ids_M = np.array([number for number, _ in spellings], np.int64)
        total = float(prob_W[len(SPECIAL) :].sum())
        self.known = float(prob_W[ids_M].sum()) / total if total else 0.0
        parent_N, label_N, node_M, levels = _nodes([labels for _, labels in spellings], len(vocabulary))
        self.outside = len(parent_N)
        self.word_N = np.full(self.outside + 1, -1, np.int64)
        self.word_N[node_M] = ids_M
        mass_N = np.zeros(self.outside)
        mass_N[node_M] = prob_W[ids_M]
        for start, stop in zip(levels[-2::-1], levels[:0:-1], strict=True):  # from the leaves
            np.add.at(mass_N, parent_N[start:stop], mass_N[start:stop])
        with np.errstate(divide="ignore"):
            self.log_mass_N = np.append(np.log(mass_N), -np.inf)
        self.log_mass_N[ROOT] = 0.0
        self._label_N = label_N
        self._first_child_N = np.searchsorted(parent_N[1:], np.arange(self.outside + 2)) + 1
        self._columns = len(vocabulary)
        self.cache = RowCache(self.outside + 1, self._columns, self._compute)

    def _compute(self, nodes: NDArray[np.integer]) -> tuple[NDArray[Any], NDArray[Any]]:
        next_NV = np.full((len(nodes), self._columns), self.outside, np.int32)
        first = self._first_child_N[nodes]
        count = self._first_child_N[nodes + 1] - first
        row = np.repeat(np.arange(len(nodes)), count)
        child = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        next_NV[row, self._label_N[child]] = child
        return self.log_mass_N[next_NV], next_NV


def _labels(word: str, label_of: dict[str, int]) -> list[int] | None:
    """Spell a word, each time with the longest label that fits; None if that is not possible."""
    labels = [label_of.get(character) for character in word]
    if None not in labels:
        return labels  # type: ignore[return-value]
    longest = max(map(len, label_of), default=0)
    found: list[int] = []
    place = 0
    while place < len(word):
        size = next((size for size in range(longest, 0, -1) if word[place : place + size] in label_of), 0)
        if not size:
            return None
        found.append(label_of[word[place : place + size]])
        place += size
    return found


def _nodes(
    spellings: Sequence[Sequence[int]], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Return each node's parent and label, sorted by both, each word's last node, and where each level begins."""
    length_M = np.array([len(labels) for labels in spellings], np.int64)
    end_M = np.cumsum(length_M)
    flat = np.fromiter((label for labels in spellings for label in labels), np.int64, int(length_M.sum()))
    node_M = np.zeros(len(spellings), np.int64)
    parents, labels_of = [np.full(1, -1)], [np.full(1, -1)]
    levels = [1]
    for depth in range(int(length_M.max(initial=0))):
        open_M = np.flatnonzero(length_M > depth)
        key = node_M[open_M] * columns + flat[end_M[open_M] - length_M[open_M] + depth]
        unique, inverse = np.unique(key, return_inverse=True)
        parents.append(unique // columns)
        labels_of.append(unique % columns)
        node_M[open_M] = levels[-1] + inverse
        levels.append(levels[-1] + len(unique))
    return np.concatenate(parents), np.concatenate(labels_of), node_M, levels
