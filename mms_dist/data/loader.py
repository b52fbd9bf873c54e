"""Read planned batches from shards with stateless worker threads.

Workers get positions in the sample table and return decoded audio. The result of `take` depends only on the requests:
the number of workers and prefetching change when a batch is ready, never its contents.
"""

import math
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
from mms_dist.data.stream import LanguageStream, Position
from mms_dist.data.urgency_pool import UrgencyPool
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
    """A batch being prefetched, or prefetched and not yet taken."""

    futures: "list[Future[Read]]"
    audio_bytes: int


class Reading:
    """Counts the audio that the loader's threads have read and decoded, and their total time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.seconds = 0.0
        self.audio_seconds = 0.0

    def timed(self, read: Callable[[np.ndarray, int], Read], items: np.ndarray, epoch: int) -> Read:
        """Call `read(items, epoch)` and count its audio and time."""
        began = perf_counter()
        found = read(items, epoch)
        seconds = perf_counter() - began
        audio_seconds = sum(len(each.audio) for each in found if isinstance(each, Utterance)) / SAMPLE_RATE
        with self._lock:
            self.seconds += seconds
            self.audio_seconds += audio_seconds
        return found


class BatchLoader:
    """Returns the requested batches in order, and prefetches batches that will probably be requested next.

    Use it from one thread; it starts its own workers. A context manager.

    Args:
        reader: reads one utterance of a shard; thread-safe.
        streams: stream of each language.
        vocabularies: vocabulary of each language.
        split: split of the shards the streams' tables describe.
        workers: number of reading threads; 0 reads in the calling thread, in `take`.
        prefetch_bytes: largest amount of audio that may be prefetched or being prefetched. Requested batches are always
            read, whatever their size.

    Attributes:
        pool: its threads, which evaluation uses too; None without workers.
        workers: number of reading threads; 1 if only the calling thread reads.
        wait_seconds: total time that callers have waited in `take`.
        reading: amount of audio read so far, and the time it took.
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
        """Add a language, or replace it: load this share of its batches."""
        self.remove(stream.language)
        self._streams[stream.language] = stream
        self._vocabularies[stream.language] = vocabulary
        self._shares[stream.language] = share

    def remove(self, language: str) -> None:
        """Remove a language and discard its prefetched batches. An unknown language is not an error."""
        self._streams.pop(language, None)
        self._vocabularies.pop(language, None)
        self._shares.pop(language, None)
        for pending in self._pending.pop(language, {}).values():
            self._drop(pending.futures)

    @property
    def pending_bytes(self) -> int:
        """Bytes of audio that are prefetched or being prefetched, and not yet taken."""
        return sum(batch.audio_bytes for batches in self._pending.values() for batch in batches.values())

    def prefetch(self, requests: Iterable[BatchRequest]) -> None:
        """Start reading batches that will probably be taken, soonest first. Never blocks.

        Requests beyond `prefetch_bytes` are ignored. A prefetched batch that is not taken is discarded once a later
        batch of its language is taken. An error during prefetching is raised when the batch is taken.
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
        """Return exactly the requested batches (this rank's share of each), in order. Blocks until they are read.

        Raises:
            TruncatedShardError: a shard is shorter than its index says.
            DataError: a shard cannot be read, there is no such batch, or the language was not added.
        """
        began = perf_counter()
        requests = list(requests)
        started: list[list[Future[Read]]] = []
        try:
            if self.pool is None:
                return [self._batch(request, (task() for task in self._tasks(request))) for request in requests]
            for request in requests:
                started.append(self._start(request, self.pool))
            return [
                self._batch(request, (future.result() for future in futures))
                for request, futures in zip(requests, started, strict=True)
            ]
        except BaseException:
            for futures in started:
                self._drop(futures)
            raise
        finally:
            self.wait_seconds += perf_counter() - began

    def close(self) -> None:
        """Discard all pending batches, end the workers and wait for them."""
        self._pending.clear()
        if self.pool is not None:
            self.pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, request: BatchRequest, pool: UrgencyPool[Read]) -> "list[Future[Read]]":
        """Return the futures of a batch needed now: prefetched ones, made urgent, or new ones."""
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
        stream = self._stream(request.language)
        items = stream.at(request.position)
        batch = LoadedBatch(request, planned=len(items))
        for part in parts:
            for read in part:
                if isinstance(read, Utterance):
                    batch.utterances.append(read)
                else:
                    batch.damaged.append(read)
        if stream.weights is not None:
            # Relative to the largest, so that equal weights are exactly 1 and the loss is exactly the plain mean.
            weights = stream.weights[items % len(stream.table)]
            largest = float(weights.max())
            batch.planned_weight = math.fsum((weights / largest).tolist())
            for utterance in batch.utterances:
                utterance.weight /= largest
        return batch

    def _drop(self, futures: "list[Future[Read]]") -> None:
        """Cancel work that is no longer needed and has not started."""
        if self.pool is not None:
            for future in futures:
                self.pool.cancel(future)

    def _stream(self, language: str) -> LanguageStream:
        if language not in self._streams:
            raise DataError(
                f"the loader has no language {language!r}, only {', '.join(sorted(self._streams)) or 'none'}"
            )
        return self._streams[language]

    def _audio_bytes(self, request: BatchRequest) -> int:
        stream = self._stream(request.language)
        samples = stream.samples_of(self._items(request), request.position.epoch)
        return int(samples.sum(dtype=np.int64)) * _BYTES_PER_SAMPLE

    def _items(self, request: BatchRequest) -> np.ndarray:
        """Return the items of the utterances to read."""
        return self._shares[request.language].take(self._stream(request.language).at(request.position))

    def _tasks(self, request: BatchRequest) -> list[Callable[[], Read]]:
        """Split a batch into tasks that need no further arguments."""
        stream = self._stream(request.language)
        vocabulary = self._vocabularies[request.language]
        source = UtteranceSource(
            reader=self._reader,
            language=stream.language,
            split=self._split,
            table=stream.table,
            vocabulary=vocabulary,
            allocate=self._buffers.lease,
            augmentation=stream.augmentation,
            weights=stream.weights,
        )
        items, epoch = self._items(request), request.position.epoch
        return [
            partial(self.reading.timed, source.read, items[first : first + UTTERANCES_PER_TASK], epoch)
            for first in range(0, len(items), UTTERANCES_PER_TASK)
        ]
