"""Read utterances of one split of one language. The source is immutable, so threads can share it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mms_dist.config import Data
from mms_dist.data.augmented import RecordingAugmentation
from mms_dist.data.batch import DamagedSample, Utterance
from mms_dist.data.conditioned import Conditioned
from mms_dist.data.utterance_id import UtteranceId
from mms_dist.errors import DataError
from shards.audio.codec import new_samples
from shards.cache import ShardCache
from shards.errors import DamagedSampleError
from shards.schema import frames_of

if TYPE_CHECKING:
    from shards.index import SampleTable
    from shards.read import ShardReader
    from shards.vocabulary import Vocabulary

UTTERANCES_PER_TASK = 8
"""Large enough to make queueing cost negligible, small enough to spread a batch over the threads."""

Read = list[Utterance | DamagedSample]


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceSource:
    """Reads, decodes and labels utterances, given by their positions in `table` or by the items of a stream.

    `vocabulary` is None if no labels are needed; `allocate` provides memory for the audio; `augmentation` changes it in
    training, `condition` in evaluation; `weights` are those in the loss, by position.
    """

    reader: "ShardReader"
    language: str
    split: str
    table: "SampleTable"
    vocabulary: "Vocabulary | None" = None
    allocate: Callable[[int], np.ndarray] = new_samples
    augmentation: RecordingAugmentation | None = None
    condition: Conditioned | None = None
    weights: np.ndarray | None = None

    def read(self, items: np.ndarray, epoch: int) -> Read:
        """Read utterances; a damaged sample takes the place of each one that cannot be read.

        Raises:
            TruncatedShardError: a shard is shorter than its index says.
            DataError: a shard cannot be read.
        """
        return [self._read_item(int(item), epoch) for item in items]

    def _read_item(self, item: int, epoch: int) -> Utterance | DamagedSample:
        table = self.table
        repeat, item = divmod(item, len(table))
        utterance = UtteranceId(self.language, self.split, int(table.rows[item]))
        try:
            raw = self.reader.read(self.language, self.split, utterance.row, allocate=self.allocate)
        except DamagedSampleError as error:
            return DamagedSample(utterance, error.key, error.shard, error.reason)
        except OSError as error:
            raise DataError(
                f"{self.language}: utterance {table.keys[item]} of {self.split} shard {table.shard[item]} (row "
                f"{utterance.row}) cannot be read: {error}",
                fix="check the file system, then `mms-dist shards verify`",
            ) from error
        except Exception as error:
            error.add_note(
                f"while reading {self.language}, {self.split} shard {table.shard[item]}, utterance {table.keys[item]} "
                f"(row {utterance.row})"
            )
            raise
        read = Utterance(
            id=utterance,
            key=raw.key,
            epoch=epoch,
            audio=raw.audio,
            labels=self._labels(raw.text),
            text=raw.text,
            frames=int(table.frames[item]),
            repeat=repeat,
            weight=1.0 if self.weights is None else float(self.weights[item]),
        )
        change = self.condition or (self.augmentation if self.augmentation and self.augmentation.steps else None)
        if change is not None:
            read.audio, read.waveform = change.apply(
                read.audio, utterance, epoch, required_frames=int(table.required_frames[item]), repeat=repeat
            )
            read.frames = frames_of(len(read.audio))
        return read

    def _labels(self, text: str) -> np.ndarray:
        if self.vocabulary is None:
            return np.zeros(1, dtype=np.int32)
        return np.array(self.vocabulary.encode(text), dtype=np.int32)


def shard_cache(data: Data) -> ShardCache | None:
    """Return the node-local cache of remote shards, if the configuration sets one."""
    return None if data.cache_directory is None else ShardCache(data.cache_directory, int(data.cache_gib * (1 << 30)))
