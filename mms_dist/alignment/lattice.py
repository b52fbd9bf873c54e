"""The states that a text goes through when it is said, and one step of Viterbi's search through them.

It is the CTC topology: a state for each label, and a blank before, between and after them. In a text that may differ
from what was said, every gap between words can also hear speech that is not in the text (a "star"), and a path may jump
from a gap to a later one, over words that were not said.

Legend: V labels of the vocabulary, S states, W states in the band that is searched, G gaps between words.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shards.vocabulary import BLANK, SPACE

JUMP = 3
"""The step of a path that comes to a gap by a jump. Others are the number of states that the path goes on: 0, 1, 2."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What it costs, in nats of log-probability, that audio and text differ.

    The defaults are those that found most of 20 % deleted and of 20 % doubled words, and most boundaries, in dev and
    test speech of three of the demo's languages (`tests/benchmarks/alignment.py`).

    Attributes:
        heard: for each label that is heard (by greedy decoding) and is not in the text.
        jump: for each jump over text that was not said.
        skipped: beyond that, for each label of the text that is jumped over,
        most_skipped: up to this.
    """

    heard: float = 5.0
    jump: float = 20.0
    skipped: float = 0.7
    most_skipped: float = 150.0

    @classmethod
    def trusting(cls) -> "Costs":
        """Return costs for a model that hears little: it finds text only if that is trusted to be what was said.

        They have no limit: where the model hears almost nothing, any fixed price is less than that of a long text, and
        the whole text would be jumped over.
        """
        return cls(jump=60.0, skipped=6.0, most_skipped=math.inf)

    def of_skipping(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the cost of jumping over so many labels; over none, there is no jump."""
        cost = self.jump + np.minimum(self.skipped * labels, self.most_skipped)
        return np.where(labels > 0, cost, 0.0)


class Lattice:
    """The states of a text.

    Args:
        label_S: the label of each state: blanks at even places, and the text's labels at odd ones.
        gaps: places of the blanks in which spaces may be heard; the first and the last state are among them.
        costs: None: the audio has exactly this text.
    """

    def __init__(self, label_S: NDArray[np.int64], gaps: NDArray[np.int64], costs: Costs | None = None) -> None:
        self.label_S = label_S
        self.gaps = gaps
        self.costs = costs
        self._no_skip_S = np.full(len(label_S), -np.inf)
        self._no_skip_S[3::2][label_S[3::2] != label_S[1:-2:2]] = 0.0
        self._before_G = gaps // 2  # labels of the text before each gap
        nothing = np.empty(0)
        self._last_band = _Band(-1, label_S[:0], nothing, gaps[:0], nothing)

    def __len__(self) -> int:
        return len(self.label_S)

    @classmethod
    def exact(cls, labels: NDArray[np.int64]) -> "Lattice":
        """Return the states of a text whose spaces must be heard. Next to one, blanks may be further spaces."""
        label_S = _between_blanks(labels)
        beside_S = np.zeros(len(label_S), bool)
        beside_S[[0, -1]] = True
        beside_S[:-1] |= label_S[1:] == SPACE
        beside_S[1:] |= label_S[:-1] == SPACE
        beside_S[1::2] = False
        return cls(label_S, np.flatnonzero(beside_S))

    @classmethod
    def tolerant(cls, labels: NDArray[np.int64], word_ends: NDArray[np.int64], costs: Costs) -> "Lattice":
        """Return the states of words that may differ from what was said.

        Args:
            labels: those of all words, without spaces.
            word_ends: for each word, the number of labels up to its end.
        """
        return cls(_between_blanks(labels), np.concatenate([[0], word_ends * 2]), costs)

    def start(self, width: int) -> NDArray[np.float64]:
        """Return the scores before the first frame: a path begins in the first state, or jumps to a later gap."""
        best_W = np.full(min(width, len(self)), -np.inf)
        best_W[0] = 0.0
        if self.costs is not None:
            gaps = self._gaps_in(0, len(best_W))
            best_W[self.gaps[gaps]] = -self.costs.of_skipping(self._before_G[gaps])
        return best_W

    def end(self, best_W: NDArray[np.float64], low: int) -> tuple[int, float]:
        """Return the state in which the best path ends, and its score."""
        score_W = np.full(len(best_W), -np.inf)
        last = len(self) - 1
        for state in {last, max(last - 1, 0)}:
            if 0 <= state - low < len(best_W):
                score_W[state - low] = best_W[state - low]
        if self.costs is not None:
            gaps = self._gaps_in(low, low + len(best_W))
            left_G = self._before_G[-1] - self._before_G[gaps]
            score_W[self.gaps[gaps] - low] = best_W[self.gaps[gaps] - low] - self.costs.of_skipping(left_G)
        place = len(score_W) - 1 - int(score_W[::-1].argmax())
        return low + place, float(score_W[place])

    def advance(
        self, best_W: NDArray[np.float64], row_V: NDArray[np.float64], low: int, *, begins: bool, steps: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.int8] | None]:
        """Return the best score of a path to each state after one more frame, and the last step of that path.

        Args:
            best_W: scores of the states from `low` on.
            row_V: log-probabilities of the frame.
            begins: whether a label begins to be heard in it.
            steps: whether steps are wanted.
        """
        band = self._band(low, len(best_W))
        next_W = best_W.copy()
        np.maximum(next_W[1:], best_W[:-1], out=next_W[1:])
        skip_W = best_W[:-2] + band.no_skip_W[2:]
        if steps:
            step_W = np.zeros(len(best_W), np.int8)
            step_W[1:] = best_W[:-1] > best_W[1:]
            step_W[2:][skip_W > next_W[2:]] = 2
        np.maximum(next_W[2:], skip_W, out=next_W[2:])
        emission_W = row_V.take(band.label_W)
        emission_W[band.at_G] = max(row_V[BLANK], row_V[SPACE], self._star(row_V, begins=begins))
        next_W += emission_W
        if self.costs is not None:
            score_G = next_W[band.at_G]
            jumped_G = _jumps(score_G, band.slope_G, self.costs)
            next_W[band.at_G] = np.maximum(score_G, jumped_G)
            if steps:
                step_W[band.at_G[jumped_G > score_G]] = JUMP
        return next_W, step_W if steps else None

    def origin(self, best_W: NDArray[np.float64], state: int, low: int) -> int:
        """Return the gap from which a path jumped to a gap.

        Args:
            best_W: scores after the frame of the jump. Where one can jump from, they are not those of jumps.
        """
        assert self.costs is not None
        gaps = self._gaps_in(low, state)
        skipped_G = state // 2 - self._before_G[gaps]
        score_G = best_W[self.gaps[gaps] - low] - self.costs.of_skipping(skipped_G)
        return int(self.gaps[gaps][score_G.argmax()])

    def _star(self, row_V: NDArray[np.float64], *, begins: bool) -> float:
        """Return the score of hearing, in one frame, something that is not in the text."""
        if self.costs is None:
            return -np.inf
        return float(row_V.max()) - self.costs.heard * begins

    def _gaps_in(self, low: int, high: int) -> slice:
        first, stop = np.searchsorted(self.gaps, [low, high])
        return slice(int(first), int(stop))

    def _band(self, low: int, width: int) -> "_Band":
        """Return what is needed of the states in a band; it is kept until the band moves."""
        if (self._last_band.low, len(self._last_band.label_W)) != (low, width):
            gaps = self._gaps_in(low, low + width)
            slope_G = self._before_G[gaps].astype(np.float64) * (self.costs.skipped if self.costs else 0.0)
            self._last_band = _Band(
                low,
                self.label_S[low : low + width],
                self._no_skip_S[low : low + width],
                self.gaps[gaps] - low,
                slope_G,
            )
        return self._last_band


@dataclass(frozen=True, slots=True)
class _Band:
    """States from `low` on: their labels, what a step over two states costs, and where the gaps are.

    `slope_G`: the cost of jumping to each gap from the beginning of the text, but for what each jump costs.
    """

    low: int
    label_W: NDArray[np.int64]
    no_skip_W: NDArray[np.float64]
    at_G: NDArray[np.int64]
    slope_G: NDArray[np.float64]


def _jumps(score_G: NDArray[np.float64], slope_G: NDArray[np.float64], costs: Costs) -> NDArray[np.float64]:
    """Return the score of the best jump to each gap from an earlier one."""
    found_G = np.full(len(score_G), -np.inf)
    near_G = np.maximum.accumulate(score_G + slope_G)[:-1] - slope_G[1:]
    far_G = np.maximum.accumulate(score_G)[:-1] - costs.most_skipped
    found_G[1:] = np.maximum(near_G, far_G) - costs.jump
    return found_G


def beginnings(log_prob_TV: NDArray[np.floating], before_V: NDArray[np.floating] | None) -> NDArray[np.bool_]:
    """Return in which frames greedy decoding hears a label begin, `[T]`.

    Args:
        before_V: the frame before them, if there is one.
    """
    label_T = log_prob_TV.argmax(axis=1)
    before_T = np.concatenate([[BLANK if before_V is None else before_V.argmax()], label_T[:-1]])
    return (label_T > SPACE) & (label_T != before_T)


def _between_blanks(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    label_S = np.full(2 * len(labels) + 1, BLANK)
    label_S[1::2] = labels
    return label_S
