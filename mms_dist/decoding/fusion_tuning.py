"""Find the weights of a language model on outputs that were computed once."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import jiwer
import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.beam_search import Beam, BeamSearch
from mms_dist.decoding.fusion import Fusion
from shards.vocabulary import Vocabulary

ALPHAS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
BETAS = (0.0, 0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class TunedWeights:
    """A point of the grid, and the error rates with it."""

    alpha: float
    beta: float
    wer: float
    cer: float


@dataclass(frozen=True, slots=True)
class TuningTask:
    """Utterances to tune on.

    Attributes:
        log_probs: for each utterance the log-probabilities `[T, V]`.
        references: their transcripts, none of them empty.
        fusion: its own weights do not matter.
    """

    vocabulary: Vocabulary
    fusion: Fusion
    log_probs: Sequence[NDArray[np.floating]]
    references: Sequence[str]
    beam: Beam | None = None

    def measure(self, alpha: float, beta: float) -> TunedWeights:
        """Decode with these weights and compare with the references."""
        search = BeamSearch(self.vocabulary, self.fusion.weighted(alpha, beta), beam=self.beam)
        texts = [found[0].text for found in search.decode(self.log_probs)]
        references = list(self.references)
        return TunedWeights(alpha, beta, float(jiwer.wer(references, texts)), float(jiwer.cer(references, texts)))


def tune(
    task: TuningTask, alphas: Sequence[float] = ALPHAS, betas: Sequence[float] = BETAS, *, processes: int = 1
) -> list[TunedWeights]:
    """Measure every pair of weights; return them with the lowest WER first, and among equals the lowest CER.

    Args:
        processes: how many decode at the same time, each with the task's outputs and model in its memory.
    """
    grid = list(product(alphas, betas))
    measured = [task.measure(*point) for point in grid] if processes == 1 else list(_in_parallel(task, grid, processes))
    return sorted(measured, key=lambda each: (each.wer, each.cer))


_task: TuningTask | None = None  # of a worker process


def _in_parallel(task: TuningTask, grid: Sequence[tuple[float, float]], processes: int) -> Iterator[TunedWeights]:
    # Not forked: the caller may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(grid)), context, _set_task, (task,)) as pool:
        yield from pool.map(_measure, grid)


def _set_task(task: TuningTask) -> None:
    global _task
    _task = task


def _measure(point: tuple[float, float]) -> TunedWeights:
    assert _task is not None
    return _task.measure(*point)
