"""CTC prefix beam search with an optional language model, many utterances at once.

Hannun et al. 2014, "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs": for
every prefix the search keeps the probability of all paths that give it, apart for those that end with a blank. Prefixes
are compared by a hash. A run of spaces counts as one, and spaces at the ends as none, as in greedy decoding; the tokens
`<s>`, `</s>` and `<unk>` count as blanks, which is what greedy decoding makes of them.

Legend: B utterances, longest first, T frames, V the vocabulary, K hypotheses of each, C labels under consideration, N
candidates for the next K.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.fusion import FIRST_LABEL, Fusion, State
from shards.vocabulary import BLANK, SPACE, Vocabulary

_ROOT = np.uint64(0x9E3779B97F4A7C15)
_NO_PARENT, _DROPPED = np.uint64(1), np.uint64(2)
_MOST_NUMBERS = 1 << 24  # log-probabilities of utterances that are searched side by side


@dataclass(frozen=True, slots=True)
class Beam:
    """How wide the search is.

    Attributes:
        width: hypotheses kept after each frame.
        threshold: hypotheses whose score is lower than the best by more than this are dropped (nats).
        token_threshold: labels that a frame gives less than this log-probability do not extend hypotheses there.
        tokens: most labels that extend hypotheses at a frame; None: no limit.
    """

    width: int = 100
    threshold: float = 15.0
    token_threshold: float = -6.0
    tokens: int | None = 50


EXACT = Beam(width=1_000_000, threshold=np.inf, token_threshold=-np.inf, tokens=None)
"""No pruning at all: only for a few frames."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text that the search found.

    Attributes:
        score: `acoustic + alpha * language_model + beta * units`, by which hypotheses are ordered.
        acoustic: log-probability of the text given the audio: of all its paths that the beam kept.
        language_model: log-probability of the text in the language model; 0 without one.
        units: words or characters that `beta` counts; 0 without a language model.
    """

    text: str
    score: float
    acoustic: float
    language_model: float = 0.0
    units: int = 0


@dataclass(slots=True)
class _Prefixes:
    """The hypotheses; everything is `[B, K]`, with -inf in `blank` and `label` where there are fewer than K.

    `parent` is the position of the prefix without its last label, or -1 if the search no longer has it.
    """

    blank: NDArray[np.float64]
    label: NDArray[np.float64]
    fused: NDArray[np.float64]
    last: NDArray[np.int64]
    hash: NDArray[np.uint64]
    parent_hash: NDArray[np.uint64]
    parent: NDArray[np.int64]
    state: State

    def rows(self, count: int) -> "_Prefixes":
        """The first utterances only."""
        return _Prefixes(
            self.blank[:count],
            self.label[:count],
            self.fused[:count],
            self.last[:count],
            self.hash[:count],
            self.parent_hash[:count],
            self.parent[:count],
            tuple(array[:count] for array in self.state),
        )


class BeamSearch:
    """Turns CTC outputs into texts.

    Args:
        vocabulary: of the outputs.
        fusion: language model; None: the texts' acoustic probability alone decides.
        beam: how wide to search.
        batch: most utterances decoded side by side. The result does not depend on it; the speed does.
    """

    def __init__(
        self, vocabulary: Vocabulary, fusion: Fusion | None = None, *, beam: Beam | None = None, batch: int = 16
    ) -> None:
        self._vocabulary = vocabulary
        self._fusion = fusion
        self._beam = beam or Beam()
        self._batch = batch

    def decode(self, log_probs: Sequence[NDArray[np.floating]], *, nbest: int = 1) -> list[list[Hypothesis]]:
        """Decode utterances.

        Args:
            log_probs: for each utterance the log-probabilities `[T, V]`, over the tokens of the vocabulary.
            nbest: hypotheses returned for each, at most.

        Returns:
            For each utterance its hypotheses, best first; at least one, which may be empty.
        """
        found: list[list[Hypothesis]] = [[] for _ in log_probs]
        longest_first = sorted(range(len(log_probs)), key=lambda number: -len(log_probs[number]))
        start = 0
        while start < len(longest_first):
            each = max(len(log_probs[longest_first[start]]) * len(self._vocabulary), 1)
            stop = start + min(self._batch, max(_MOST_NUMBERS // each, 1))
            numbers = longest_first[start:stop]
            start = stop
            search = _Search(self._vocabulary, self._fusion, self._beam, [log_probs[number] for number in numbers])
            for number, texts in zip(numbers, search.run(nbest), strict=True):
                found[number] = [Hypothesis(text, acoustic, acoustic) for text, acoustic in texts]
        if self._fusion:
            found = _with_language_model(found, self._fusion)
        return found


def _with_language_model(found: list[list[Hypothesis]], fusion: Fusion) -> list[list[Hypothesis]]:
    log_prob_H, units_H = fusion.score([each.text for hypotheses in found for each in hypotheses])
    scores = zip(log_prob_H.tolist(), units_H.tolist(), strict=True)
    return [
        [
            Hypothesis(
                each.text,
                each.acoustic + fusion.alpha * log_prob + fusion.beta * units,
                each.acoustic,
                log_prob,
                units,
            )
            for each, (log_prob, units) in zip(hypotheses, scores, strict=False)
        ]
        for hypotheses in found
    ]


class _Search:
    """One batch of utterances."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        fusion: Fusion | None,
        beam: Beam,
        log_probs: Sequence[NDArray[np.floating]],
    ) -> None:
        self._vocabulary = vocabulary
        self._fusion = fusion
        self._beam = beam
        self._frames_B = np.array([len(each) for each in log_probs])
        shape = (max(self._frames_B), len(log_probs))
        self._log_prob_TBV = np.full((*shape, len(vocabulary)), -np.inf, np.result_type(np.float32, *log_probs))
        self._count_TB = np.zeros(shape, np.int64)
        extending = []
        for number, log_prob_TV in enumerate(log_probs):
            frames = len(log_prob_TV)
            own_TV = self._log_prob_TBV[:frames, number]
            own_TV[:] = log_prob_TV
            own_TV[:, BLANK] = np.logaddexp.reduce(log_prob_TV[:, :FIRST_LABEL], axis=1)
            own_TV[:, 1:FIRST_LABEL] = -np.inf
            label_TC, score_TC, self._count_TB[:frames, number] = _extending(own_TV, beam)
            extending.append((label_TC, score_TC))
        # The labels that may extend hypotheses at each frame, likeliest first; -inf where there are fewer.
        most = int(self._count_TB.max(initial=0))
        self._label_TBC = np.full((*shape, most), SPACE)
        self._score_TBC = np.full((*shape, most), -np.inf)
        for number, (label_TC, score_TC) in enumerate(extending):
            frames, count = label_TC.shape
            self._label_TBC[:frames, number, :count] = label_TC
            self._score_TBC[:frames, number, :count] = score_TC
        # For each frame: the position of each hypothesis's prefix a frame before, and the label it added or -1.
        self._history: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []

    def run(self, nbest: int) -> list[list[tuple[str, float]]]:
        """Search all frames; return each utterance's texts and their acoustic log-probabilities, best first."""
        found: list[list[tuple[str, float]]] = [[] for _ in self._frames_B]
        rows = len(self._frames_B)
        prefixes = self._start(rows)
        for frame in range(len(self._log_prob_TBV) + 1):
            still = int((self._frames_B > frame).sum())
            if still < rows:
                found[still:rows] = self._finish(prefixes, still, nbest)
                prefixes = prefixes.rows(still)
                rows = still
            if rows:
                prefixes = self._step(prefixes, frame, rows)
        return found

    def _start(self, rows: int) -> _Prefixes:
        shape = (rows, 1)
        return _Prefixes(
            blank=np.zeros(shape),
            label=np.full(shape, -np.inf),
            fused=np.zeros(shape),
            last=np.full(shape, SPACE),  # so that spaces at the beginning add nothing
            hash=np.full(shape, _ROOT),
            parent_hash=np.full(shape, _NO_PARENT),
            parent=np.full(shape, -1),
            state=self._fusion.start(rows) if self._fusion else (),
        )

    def _step(self, now: _Prefixes, frame: int, rows: int) -> _Prefixes:
        """Extend every hypothesis by a blank, by its last label again, or by a new label, and keep the best."""
        log_prob_BV = self._log_prob_TBV[frame, :rows].astype(np.float64)
        count = int(self._count_TB[frame, :rows].max())
        label_BC = self._label_TBC[frame, :rows, :count]
        score_BC = self._score_TBC[frame, :rows, :count]
        total_BK = np.logaddexp(now.blank, now.label)
        blank_BK = total_BK + log_prob_BV[:, :1]
        again_BK = np.where(now.last == SPACE, total_BK, now.label)  # further spaces add nothing
        label_BK = again_BK + np.take_along_axis(log_prob_BV, now.last, axis=1)
        longer_BKC = total_BK[:, :, None] + score_BC[:, None, :]
        fused_BKC = np.broadcast_to(now.fused[:, :, None], longer_BKC.shape)
        if count:
            label_BK = self._merge(now, longer_BKC, label_BK, label_BC, score_BC)
            if self._fusion:
                fused_BKC = fused_BKC + self._fusion.extend(now.state, label_BC)
        same_BK = np.logaddexp(blank_BK, label_BK) + now.fused
        candidate_BN = np.concatenate([same_BK, (longer_BKC + fused_BKC).reshape(rows, -1)], axis=1)

        best_BK, alive_BK = self._best(candidate_BN)
        row = np.arange(rows)[:, None]
        hypotheses = total_BK.shape[1]
        is_new_BK = best_BK >= hypotheses
        source_BK, column_BK = np.divmod(best_BK - hypotheses, max(count, 1))
        source_BK = np.where(is_new_BK, source_BK, best_BK)
        if count:
            column_BK = np.where(is_new_BK, column_BK, 0)
            added_BK = np.where(is_new_BK, label_BC[row, column_BK], -1)
            label_BK = np.where(is_new_BK, longer_BKC[row, source_BK, column_BK], label_BK[row, source_BK])
            fused_BK = np.where(is_new_BK, fused_BKC[row, source_BK, column_BK], now.fused[row, source_BK])
        else:
            added_BK = np.full(best_BK.shape, -1)
            label_BK, fused_BK = label_BK[row, source_BK], now.fused[row, source_BK]
        hash_BK = now.hash[row, source_BK]
        parent_hash_BK = np.where(is_new_BK, hash_BK, now.parent_hash[row, source_BK])
        hash_BK = np.where(is_new_BK, _mixed(hash_BK, added_BK), hash_BK)
        # What was dropped may only fill its place.
        hash_BK[~alive_BK] = _DROPPED
        parent_hash_BK[~alive_BK] = _NO_PARENT
        state = tuple(array[row, source_BK] for array in now.state)
        self._history.append((source_BK, added_BK))
        return _Prefixes(
            blank=np.where(is_new_BK | ~alive_BK, -np.inf, blank_BK[row, source_BK]),
            label=np.where(alive_BK, label_BK, -np.inf),
            fused=fused_BK,
            last=np.where(is_new_BK, added_BK, now.last[row, source_BK]),
            hash=hash_BK,
            parent_hash=parent_hash_BK,
            parent=_positions(hash_BK, parent_hash_BK),
            state=self._fusion.advance(state, added_BK) if self._fusion else (),
        )

    def _merge(
        self,
        now: _Prefixes,
        longer_BKC: NDArray[np.float64],
        label_BK: NDArray[np.float64],
        label_BC: NDArray[np.int64],
        score_BC: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Treat what is special about a hypothesis's own last label; change `longer_BKC`, return a new `label_BK`.

        A label after itself needs a blank between. And a prefix that the search already has takes up the paths that
        reach it from its parent.
        """
        column_BV = np.full((len(label_BC), len(self._vocabulary)), -1)
        row, column = np.nonzero(score_BC > -np.inf)
        column_BV[row, label_BC[row, column]] = column
        column_BK = np.take_along_axis(column_BV, now.last, axis=1)
        row, place = np.nonzero(column_BK >= 0)
        column = column_BK[row, place]
        after_blank = np.where(now.last[row, place] == SPACE, -np.inf, now.blank[row, place])
        longer_BKC[row, place, column] = after_blank + score_BC[row, column]
        known = now.parent[row, place] >= 0
        row, place, column = row[known], place[known], column[known]
        parent = now.parent[row, place]
        label_BK = label_BK.copy()
        label_BK[row, place] = np.logaddexp(label_BK[row, place], longer_BKC[row, parent, column])
        longer_BKC[row, parent, column] = -np.inf
        return label_BK

    def _best(self, candidate_BN: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the places of the best candidates, best first, and which of them are good enough to stay."""
        surplus = candidate_BN.shape[1] - self._beam.width
        if surplus > 0:
            best_BK = np.argpartition(candidate_BN, surplus, axis=1)[:, surplus:]
            score_BK = np.take_along_axis(candidate_BN, best_BK, axis=1)
            order_BK = np.argsort(-score_BK, axis=1, kind="stable")
            best_BK = np.take_along_axis(best_BK, order_BK, axis=1)
            score_BK = np.take_along_axis(score_BK, order_BK, axis=1)
        else:
            best_BK = np.argsort(-candidate_BN, axis=1, kind="stable")
            score_BK = np.take_along_axis(candidate_BN, best_BK, axis=1)
        alive_BK = (score_BK >= score_BK[:, :1] - self._beam.threshold) & (score_BK > -np.inf)
        most = max(int(alive_BK.sum(axis=1).max()), 1)
        return best_BK[:, :most], alive_BK[:, :most]

    def _finish(self, prefixes: _Prefixes, first: int, nbest: int) -> list[list[tuple[str, float]]]:
        """End the utterances from `first` on."""
        total_BK = np.logaddexp(prefixes.blank, prefixes.label)[first:]
        parent_BK = prefixes.parent[first:]
        row, place = np.nonzero((prefixes.last[first:] == SPACE) & (parent_BK >= 0))
        parent = parent_BK[row, place]
        total_BK[row, parent] = np.logaddexp(total_BK[row, parent], total_BK[row, place])
        total_BK[row, place] = -np.inf
        score_BK = total_BK + prefixes.fused[first:]
        if self._fusion:
            score_BK += self._fusion.finish(tuple(array[first:] for array in prefixes.state))
        order_BK = np.argsort(-score_BK, axis=1, kind="stable")[:, :nbest]
        found = []
        for number, order_K in enumerate(order_BK):
            order_K = order_K[total_BK[number, order_K] > -np.inf]
            texts = self._texts(first + number, order_K)
            found.append(list(zip(texts, total_BK[number, order_K].tolist(), strict=True)))
        return found

    def _texts(self, utterance: int, place_K: NDArray[np.int64]) -> list[str]:
        """Follow hypotheses back to the beginning."""
        labels: list[list[int]] = [[] for _ in place_K]
        for source_BK, added_BK in reversed(self._history[: self._frames_B[utterance]]):
            for each, label in zip(labels, added_BK[utterance, place_K].tolist(), strict=True):
                if label >= 0:
                    each.append(label)
            place_K = source_BK[utterance, place_K]
        tokens = self._vocabulary.tokens
        return ["".join(" " if n == SPACE else tokens[n] for n in reversed(each)).strip() for each in labels]


def _extending(
    log_prob_TV: NDArray[np.floating], beam: Beam
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the labels that may extend hypotheses at each frame, likeliest first, their scores and number."""
    score_TC = log_prob_TV[:, FIRST_LABEL:].astype(np.float64)
    label_TC = np.argsort(-score_TC, axis=1, kind="stable")
    score_TC = np.take_along_axis(score_TC, label_TC, axis=1)
    allowed_TC = (score_TC >= beam.token_threshold) & (score_TC > -np.inf)
    if beam.tokens is not None:
        allowed_TC[:, beam.tokens :] = False
    count_T = allowed_TC.sum(axis=1)
    most = int(count_T.max(initial=0))
    return label_TC[:, :most] + FIRST_LABEL, np.where(allowed_TC, score_TC, -np.inf)[:, :most], count_T


def _mixed(hash_BK: NDArray[np.uint64], label_BK: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash prefixes with one more label (the finaliser of SplitMix64)."""
    mixed = (hash_BK + label_BK.astype(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _positions(hash_BK: NDArray[np.uint64], wanted_BK: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return where in its row each wanted hash stands; -1 where it does not."""
    equal_BKK = wanted_BK[:, :, None] == hash_BK[:, None, :]
    position_BK = equal_BKK.argmax(axis=2)
    found_BK = np.take_along_axis(equal_BKK, position_BK[:, :, None], axis=2)[:, :, 0]
    return np.where(found_BK, position_BK, -1)
