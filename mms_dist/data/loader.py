"""Read planned batches from shards with worker threads that hold no state.

Workers get places in the sample table and return decoded audio. What `take` gives is a function of what was asked:
the number of workers and everything prefetched change when a batch is ready, never what is in it.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from mms_dist.data.batch import BatchRequest, DamagedSample, LoadedBatch, Utterance
from mms_dist.data.batch_shard import WHOLE, BatchShard
from mms_dist.data.buffers import AudioBuffers
from mms_dist.data.pool import UrgencyPool
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.data.utterance_source import UTTERANCES_PER_TASK, Read, UtteranceSource
from mms_dist.errors import DataError
from shards.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from shards.read import ShardReader
    from shards.vocabulary import Vocabulary

__all__ = ["BatchLoader", "BatchRequest", "DamagedSample", "LoadedBatch", "Utterance"]

_BYTES_PER_SAMPLE = 2  # int16


@dataclass(slots=True)
class _Pending:
    """A batch on its way, from being asked for to being taken."""

    futures: "list[Future[Read]]"
    audio_bytes: int


class Reading:
    """How much audio the loader's threads have read and decoded, in how much time of all of them together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.seconds = 0.0
        self.audio_seconds = 0.0

    def timed(self, read: Callable[[np.ndarray, int], Read], items: np.ndarray, epoch: int) -> Read:
        """`read(items, epoch)`, counted."""
        began = perf_counter()
        found = read(items, epoch)
        seconds = perf_counter() - began
        audio_seconds = sum(len(each.audio) for each in found if isinstance(each, Utterance)) / SAMPLE_RATE
        with self._lock:
            self.seconds += seconds
            self.audio_seconds += audio_seconds
        return found


class BatchLoader:
    """Gives the batches asked for, in order; reads those that will be asked for next ahead of time.

    Used by one thread; its workers are its own. A context manager.

    Args:
        reader: reads one utterance of a shard; thread-safe.
        streams: stream of each language.
        vocabularies: vocabulary of each language.
        split: split of the shards the streams' tables describe.
        workers: reading threads; 0 reads in the calling thread, when taken.
        prefetch_bytes: most bytes of audio, decoded or being decoded, that prefetching may hold. Batches that were
            asked for are always read, whatever their size.

    Attributes:
        pool: its threads, which evaluation reads with as well; None without workers.
        workers: reading threads; where there is none, the caller is the one.
        wait_seconds: how long `take` has made its callers wait, in total.
        reading: what the threads have read so far, and in how long.
    """

    def __init__(
        self,
        reader: "ShardReader",
        streams: Mapping[str, LanguageStream],
        vocabularies: Mapping[str, "Vocabulary"],
        *,
        split: str = "train",
        workers: int,
        prefetch_bytes: int = 1 << 30,
    ) -> None:
        self._reader = reader
        self._streams = dict(streams)
        self._vocabularies = dict(vocabularies)
        self._shares = dict.fromkeys(streams, WHOLE)
        self._split = split
        self.pool: UrgencyPool[Read] | None = UrgencyPool(workers, name="mms-loader") if workers else None
        self._prefetch_bytes = prefetch_bytes
        self._buffers = AudioBuffers()
        self.workers = max(1, workers)
        self.reading = Reading()
        self._pending: dict[str, dict[Position, _Pending]] = {}
        self.wait_seconds = 0.0

    def add(self, stream: LanguageStream, vocabulary: "Vocabulary", share: BatchShard = WHOLE) -> None:
        """Serve a further language, or one anew: this share of its batches."""
        self.remove(stream.language)
        self._streams[stream.language] = stream
        self._vocabularies[stream.language] = vocabulary
        self._shares[stream.language] = share

    def remove(self, language: str) -> None:
        """Stop serving a language and forget what was prefetched for it. Unknown languages are no error."""
        self._streams.pop(language, None)
        self._vocabularies.pop(language, None)
        self._shares.pop(language, None)
        for pending in self._pending.pop(language, {}).values():
            self._drop(pending.futures)

    @property
    def pending_bytes(self) -> int:
        """Bytes of audio prefetched, or being prefetched, and not yet taken."""
        return sum(batch.audio_bytes for batches in self._pending.values() for batch in batches.values())

    def prefetch(self, requests: Iterable[BatchRequest]) -> None:
        """Begin to read batches that will probably be taken, soonest first; a hint that never blocks.

        Hints beyond `prefetch_bytes` are ignored. A hint that did not come true is forgotten once the language has
        gone past it. An error found while prefetching is raised if and when the batch is taken.
        """
        if self.pool is None:
            return
        held = self.pending_bytes
        for request in requests:
            batches = self._pending.setdefault(request.language, {})
            if request.position in batches:
                continue
            audio_bytes = self._audio_bytes(request)
            if held + audio_bytes > self._prefetch_bytes:
                return
            held += audio_bytes
            futures = [self.pool.submit(task, urgent=False) for task in self._tasks(request)]
            batches[request.position] = _Pending(futures, audio_bytes)

    def take(self, requests: Iterable[BatchRequest]) -> list[LoadedBatch]:
        """Exactly the batches asked for (of each the language's share), in that order; blocks until they are read.

        Raises:
            TruncatedShardError: a shard is shorter than its index says.
            DataError: a shard cannot be read, there is no such batch, or the language is not served.
        """
        began = perf_counter()
        requests = list(requests)
        begun: list[list[Future[Read]]] = []
        try:
            if self.pool is None:
                return [self._batch(request, (task() for task in self._tasks(request))) for request in requests]
            for request in requests:
                begun.append(self._begin(request, self.pool))
            return [
                self._batch(request, (future.result() for future in futures))
                for request, futures in zip(requests, begun, strict=True)
            ]
        except BaseException:
            for futures in begun:
                self._drop(futures)
            raise
        finally:
            self.wait_seconds += perf_counter() - began

    def close(self) -> None:
        """Forget everything pending and end the workers; returns when no thread is left."""
        self._pending.clear()
        if self.pool is not None:
            self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, request: BatchRequest, pool: UrgencyPool[Read]) -> "list[Future[Read]]":
        """The futures of a batch that is wanted now: those prefetched, made urgent, or new ones."""
        batches = self._pending.get(request.language, {})
        for position in [position for position in batches if position < request.position]:
            self._drop(batches.pop(position).futures)
        prefetched = batches.pop(request.position, None)
        if prefetched is None:
            return [pool.submit(task, urgent=True) for task in self._tasks(request)]
        for future in prefetched.futures:
            pool.hasten(future)
        return prefetched.futures

    def _batch(self, request: BatchRequest, parts: Iterable[Read]) -> LoadedBatch:
        batch = LoadedBatch(request, planned=len(self._stream(request.language).at(request.position)))
        for part in parts:
            for read in part:
                if isinstance(read, Utterance):
                    batch.utterances.append(read)
                else:
                    batch.damaged.append(read)
        return batch

    def _drop(self, futures: "list[Future[Read]]") -> None:
        """Work that nobody wants any more is not begun."""
        if self.pool is not None:
            for future in futures:
                self.pool.cancel(future)

    def _stream(self, language: str) -> LanguageStream:
        if language not in self._streams:
            raise DataError(
                f"the loader was asked for a batch of {language!r}", fix=f"it serves {', '.join(sorted(self._streams))}"
            )
        return self._streams[language]

    def _audio_bytes(self, request: BatchRequest) -> int:
        stream = self._stream(request.language)
        return int(stream.table.samples[self._items(request)].sum(dtype=np.int64)) * _BYTES_PER_SAMPLE

    def _items(self, request: BatchRequest) -> np.ndarray:
        """Places in the stream's table of the utterances to read."""
        return self._shares[request.language].take(self._stream(request.language).at(request.position))

    def _tasks(self, request: BatchRequest) -> list[Callable[[], Read]]:
        """The batch as a few pieces of work, each bound to everything it needs."""
        stream = self._stream(request.language)
        vocabulary = self._vocabularies[request.language]
        source = UtteranceSource(
            self._reader, stream.language, self._split, stream.table, vocabulary, self._buffers.lease
        )
        items, epoch = self._items(request), request.position.epoch
        return [
            partial(self.reading.timed, source.read, items[first : first + UTTERANCES_PER_TASK], epoch)
            for first in range(0, len(items), UTTERANCES_PER_TASK)
        ]
