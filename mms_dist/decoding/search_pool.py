"""Beam search in several processes, while this one computes the next outputs."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from mms_dist.decoding.beam_search import Hypothesis
from mms_dist.decoding.search_settings import SearchSettings
from shards.process_pool import WorkerPool

_WAITING_PER_PROCESS = 4

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class SearchPool:
    """Decodes in `processes` processes; with one, in this process.

    Each process loads the language models that it meets. Work beyond a few pieces for each makes `submit` wait, so that
    memory stays bounded.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool = WorkerPool(processes)
        self._room = threading.BoundedSemaphore(processes * _WAITING_PER_PROCESS)

    def decode(self, settings: SearchSettings, log_probs: Sequence[NDArray[np.floating]]) -> Future[list[Hypothesis]]:
        """Find the best text of each utterance; see `BeamSearch.decode`."""
        return self.submit(best_hypotheses, settings, list(log_probs))

    def submit(
        self, work: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
    ) -> Future[Result]:
        """Do work in one of the processes; wait while all are busy and more is waiting."""
        executor = self._pool.executor()
        if executor is None:
            future: Future[Result] = Future()
            future.set_result(work(*arguments, **named))
            return future
        self._room.acquire()
        future = executor.submit(work, *arguments, **named)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def __enter__(self) -> "SearchPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.close()


def best_hypotheses(settings: SearchSettings, log_probs: Sequence[NDArray[np.floating]]) -> list[Hypothesis]:
    """Return the best hypothesis of each utterance."""
    return [found[0] for found in settings.search().decode(log_probs)]
