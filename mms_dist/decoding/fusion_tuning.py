"""Find the weights of a language model on outputs that were computed once.

The error rate has one valley along a ridge of alpha and beta. So a coarse grid comes first, and then the neighbours of
the best point so far, until none is better (a pattern search, Hooke and Jeeves 1961). The beam is narrow: which weights
are best hardly depends on its width.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import jiwer
import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.beam_search import Beam
from mms_dist.decoding.search_pool import SearchPool
from mms_dist.decoding.search_settings import SearchSettings

ALPHAS = (0.5, 1.0, 2.0)
BETAS = (0.0, 1.5, 3.0)
FACTOR, STEP = 2**0.5, 0.75
"""Of the refinement: a factor of alpha, and what is added to beta. Smaller ones fit dev better and test worse."""
TUNING_BEAM = Beam(width=32)


@dataclass(frozen=True, slots=True, order=True)
class MeasuredWeights:
    """A pair of weights and the error rates with it; ordered by `rank`, which is both rates, the one that decides
    first."""

    rank: tuple[float, float]
    wer: float = field(compare=False)
    cer: float = field(compare=False)
    alpha: float = field(compare=False)
    beta: float = field(compare=False)


def tune(
    pool: SearchPool,
    settings: SearchSettings,
    log_probs: Sequence[NDArray[np.floating]],
    references: Sequence[str],
    *,
    spaced: bool = True,
) -> list[MeasuredWeights]:
    """Measure pairs of weights; return them with the lowest WER first, and among equals the lowest CER.

    Args:
        spaced: otherwise words are not spaced, so the CER decides, and spaces do not count in it.
        settings: the search; its weights and width do not matter.
        log_probs: of each utterance `[T, V]`.
        references: their transcripts, none of them empty.
    """
    tuning = _Tuning(pool, replace(settings, beam=TUNING_BEAM), list(log_probs), list(references), spaced)
    tuning.measure(product(ALPHAS, BETAS))
    while tuning.measure(_around(tuning.best)):
        pass
    return sorted(tuning.measured.values())


def _around(best: MeasuredWeights) -> Iterator[tuple[float, float]]:
    yield from ((best.alpha * FACTOR, best.beta), (best.alpha / FACTOR, best.beta))
    yield from ((best.alpha, best.beta + STEP), (best.alpha, best.beta - STEP))
    yield from ((best.alpha * FACTOR, best.beta + STEP), (best.alpha / FACTOR, best.beta - STEP))


class _Tuning:
    def __init__(
        self,
        pool: SearchPool,
        settings: SearchSettings,
        log_probs: list[NDArray[np.floating]],
        references: list[str],
        spaced: bool,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._log_probs = log_probs
        self._references = references
        self._spaced = spaced
        self.measured: dict[tuple[float, float], MeasuredWeights] = {}

    @property
    def best(self) -> MeasuredWeights:
        return min(self.measured.values())

    def measure(self, points: Iterator[tuple[float, float]]) -> bool:
        """Measure those that were not yet; return whether one is the best so far."""
        before = min(self.measured.values(), default=None)
        rounded = dict.fromkeys((round(alpha, 3), round(beta, 3)) for alpha, beta in points)
        waiting = {
            point: self._pool.decode(replace(self._settings, alpha=point[0], beta=point[1]), self._log_probs)
            for point in rounded
            if point not in self.measured
        }
        for (alpha, beta), future in waiting.items():
            texts = [hypothesis.text for hypothesis in future.result()]
            wer = float(jiwer.wer(self._references, texts))
            cer = float(jiwer.cer(self._characters(self._references), self._characters(texts)))
            rank = (wer, cer) if self._spaced else (cer, wer)
            self.measured[alpha, beta] = MeasuredWeights(rank, wer, cer, alpha, beta)
        return before is None or self.best < before

    def _characters(self, texts: Sequence[str]) -> list[str]:
        return list(texts) if self._spaced else ["".join(text.split()) for text in texts]
