"""A backoff n-gram model as flat arrays, queried for many contexts at once.

Nodes: node 0 is the empty context; then follow the n-grams, orders one after the other, each order sorted by (prefix,
word). `key = prefix node * vocabulary + word` so rises over all nodes, and one binary search finds any n-gram. Nodes of
less than the highest order are also contexts, and the state of a query is one of them.

Legend: `[G]` one entry per node, `[S]` per context, `[Q]` per query, `V` words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mms_dist.language_model.units import BEGIN, Unit

NEVER = -230.0
"""Natural logarithm of the probability of what a model says can never be (10⁻¹⁰⁰, as in KenLM)."""


@dataclass(frozen=True, slots=True)
class OrderTable:
    """The n-grams of one order, sorted by (prefix, word).

    `prefix` is the position among the n-grams of the order below (0 for words); the logarithms are natural, and
    `backoff` is all zeros for the highest order.
    """

    prefix: NDArray[np.int64]
    word: NDArray[np.int32]
    log_prob: NDArray[np.float32]
    backoff: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class NGramModel:
    """A backoff model (Katz 1987): p(w|h) of the longest n-gram that it has, times the backoff weights on the way.

    Attributes:
        unit: `word`, or `char` with `|` for the space.
        words: the vocabulary; ids 0, 1, 2 are `<unk>`, `<s>`, `</s>`.
        sizes: number of n-grams of each order.
        key: int64 `[G]`, rising; see the module.
        log_prob: float32 `[G]`, natural logarithms.
        state: int32 `[G]`, the context after this n-gram: the longest suffix that can matter for what follows.
        backoff: float32 `[S]`, natural logarithms.
        lower: int32 `[S]`, the context to back off to.
        language: code of the language, if known.
    """

    unit: Unit
    words: tuple[str, ...]
    sizes: tuple[int, ...]
    key: NDArray[np.int64] = field(repr=False)
    log_prob: NDArray[np.float32] = field(repr=False)
    state: NDArray[np.int32] = field(repr=False)
    backoff: NDArray[np.float32] = field(repr=False)
    lower: NDArray[np.int32] = field(repr=False)
    language: str | None = None

    @classmethod
    def build(
        cls, unit: Unit, words: Sequence[str], orders: Sequence[OrderTable], language: str | None = None
    ) -> "NGramModel":
        """Make a model of n-grams; `orders[0]` has every word once, in the order of `words`."""
        vocabulary = len(words)
        sizes = tuple(len(table.word) for table in orders)
        assert sizes[0] == vocabulary, (sizes, vocabulary)
        first = np.cumsum((1, *sizes))
        assert first[-1] < 1 << 31, f"{first[-1]:,} n-grams"
        key = np.full(first[-1], -1, np.int64)
        for number, table in enumerate(orders):
            prefix = table.prefix + first[number - 1] if number else table.prefix
            key[first[number] : first[number + 1]] = prefix * vocabulary + table.word
        log_prob = np.concatenate([np.zeros(1, np.float32), *(table.log_prob for table in orders)])
        backoff = np.concatenate([np.zeros(1, np.float32), *(table.backoff for table in orders[:-1])])
        state, lower = _states(key, first, backoff, vocabulary)
        return cls(
            unit=unit,
            words=tuple(words),
            sizes=sizes,
            key=key,
            log_prob=log_prob.astype(np.float32),
            state=state,
            backoff=backoff,
            lower=lower,
            language=language,
        )

    @property
    def order(self) -> int:
        """Length of the longest n-grams."""
        return len(self.sizes)

    @property
    def empty(self) -> int:
        """The state that knows nothing of what stood before."""
        return 0

    @property
    def states(self) -> int:
        """A number larger than every state."""
        return len(self.backoff)

    @cached_property
    def start(self) -> int:
        """The state at the beginning of a sentence."""
        return int(self.state[1 + BEGIN])

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of every word."""
        return {word: number for number, word in enumerate(self.words)}

    def advance(
        self, states: NDArray[np.integer], words: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Predict a word in each of many contexts.

        Args:
            states: int `[Q]`; `start`, `empty`, or what an earlier call returned.
            words: int `[Q]`, ids.

        Returns:
            The natural logarithm of p(word|context) `[Q]`, and the states after the words `[Q]`.
        """
        vocabulary = len(self.words)
        context_Q = np.array(states, np.int64)
        word_Q = np.asarray(words, np.int64)
        log_prob_Q = np.zeros(len(context_Q))
        node_Q = 1 + word_Q  # of the word itself, where no longer n-gram is found
        open_P = np.flatnonzero(context_Q)
        while len(open_P):
            wanted_P = context_Q[open_P] * vocabulary + word_Q[open_P]
            place_P = np.minimum(np.searchsorted(self.key, wanted_P), len(self.key) - 1)
            hit_P = self.key[place_P] == wanted_P
            node_Q[open_P[hit_P]] = place_P[hit_P]
            open_P = open_P[~hit_P]
            context_P = context_Q[open_P]
            log_prob_Q[open_P] += self.backoff[context_P]
            context_Q[open_P] = self.lower[context_P]
            open_P = open_P[context_Q[open_P] != 0]
        return log_prob_Q + self.log_prob[node_Q], self.state[node_Q]

    def orders(self) -> list[OrderTable]:
        """Return the n-grams order by order, as `build` takes them."""
        vocabulary = len(self.words)
        first = np.cumsum((1, *self.sizes))
        tables = []
        for number, size in enumerate(self.sizes):
            here = slice(first[number], first[number + 1])
            prefix, word = np.divmod(self.key[here], vocabulary)
            prefix = prefix - first[number - 1] if number else prefix
            last = number + 1 == self.order
            backoff = np.zeros(size, np.float32) if last else np.array(self.backoff[here])
            tables.append(OrderTable(prefix, word.astype(np.int32), np.array(self.log_prob[here]), backoff))
        return tables


def _states(
    key: NDArray[np.int64], first: NDArray[np.int64], backoff: NDArray[np.float32], vocabulary: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the state after each node, and the context that each context backs off to.

    A context that no n-gram continues and whose weight is 1 predicts as its suffix does, so the suffix takes its place.
    """
    contexts = len(backoff)
    prefix, word = np.divmod(key, vocabulary)
    prefix[0] = word[0] = 0
    continued = np.zeros(contexts, bool)
    continued[prefix[1:]] = True
    matters = continued | (backoff != 0)
    state = np.zeros(len(key), np.int32)
    suffix = np.zeros(len(key), np.int32)  # the longest that is an n-gram
    for start, stop in pairwise(first.tolist()):
        nodes = np.arange(start, stop)
        if start > 1:
            context = suffix[prefix[nodes]].astype(np.int64)
            open_M = np.arange(len(nodes))
            while len(open_M):
                wanted = context[open_M] * vocabulary + word[nodes[open_M]]
                place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
                hit = key[place] == wanted
                suffix[nodes[open_M[hit]]] = place[hit]
                open_M = open_M[~hit]  # none is left at the empty context, which has every word
                context[open_M] = suffix[context[open_M]]
        state[nodes] = state[suffix[nodes]]
        own = nodes[nodes < contexts]
        own = own[matters[own]]
        state[own] = own
    return state, state[suffix[:contexts]]
