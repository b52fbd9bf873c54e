"""A language's endless stream of optimizer batches. Its whole state is a `Position`: two integers."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mms_dist.data.augmented import RecordingAugmentation
from mms_dist.data.epoch_plan import PLAN_VERSION, plan_epoch
from mms_dist.data.epoch_selection import EpochSelection
from mms_dist.errors import DataError
from shards.schema import SAMPLE_RATE

if TYPE_CHECKING:
    from shards.index import SampleTable

_EPOCHS_KEPT = 3  # the one being read, the one prefetched into, and the one before it (for `back`)


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A position in a stream: the next batch to train on is number `batch` of epoch `epoch`, both from 0."""

    epoch: int = 0
    batch: int = 0


class LanguageStream:
    """The batches of one language by position; they depend only on the arguments below.

    Args:
        table: sample table of one split of the language, or a selection of it.
        language: language code.
        seed: seed of the run.
        batch_seconds: target audio of an optimizer batch.
        window_shards: shards read at the same time.
        augmentation: changes its recordings; batches are planned for the audio as changed. None: nothing does.
        selection: which utterances come in an epoch, and how often. None: each comes once.
        weights: weight of each utterance in the loss, positive, float64 [N]. None: all count alike.

    A batch consists of items: item i is utterance i % N of the table, where i // N is how often it has come before in
    the epoch. Without `selection`, items are positions in the table.

    Raises:
        DataError: the table is empty.
    """

    def __init__(
        self,
        table: "SampleTable",
        *,
        language: str,
        seed: int,
        batch_seconds: float,
        window_shards: int,
        augmentation: RecordingAugmentation | None = None,
        selection: EpochSelection | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.table = table
        self.language = language
        self.seed = seed
        self.batch_seconds = batch_seconds
        self.window_shards = window_shards
        self.augmentation = augmentation or RecordingAugmentation(language, seed)
        self.selection = selection
        self.weights = weights
        if len(table) == 0:
            raise DataError(
                f"{language}: no utterance is left to train on, expected at least one",
                fix="look at `mms-dist shards inspect`, or raise data.max_seconds, which leaves out longer utterances",
            )
        self._epochs: OrderedDict[int, tuple[np.ndarray, ...]] = OrderedDict()
        self._samples: dict[int, np.ndarray] = {}

    def batches(self, epoch: int) -> tuple[np.ndarray, ...]:
        """Return all batches of an epoch, each a read-only int64 array of items.

        The last few epochs are kept in memory.
        """
        if epoch in self._epochs:
            self._epochs.move_to_end(epoch)
            return self._epochs[epoch]
        if self.selection is None:
            planned = self._plan(epoch, self.table.shard, self.samples(epoch))
        else:
            items = self.selection.items(epoch)
            shard = self.table.shard[items % len(self.table)]
            planned = tuple(items[places] for places in self._plan(epoch, shard, self.samples_of(items, epoch)))
            for batch in planned:
                batch.flags.writeable = False
        self._epochs[epoch] = planned
        if len(self._epochs) > _EPOCHS_KEPT:
            self._epochs.popitem(last=False)
        return planned

    def _plan(self, epoch: int, shard: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, ...]:
        return plan_epoch(
            shard,
            samples / SAMPLE_RATE,
            seed=self.seed,
            language=self.language,
            epoch=epoch,
            batch_seconds=self.batch_seconds,
            window_shards=self.window_shards,
        )

    def samples_of(self, items: np.ndarray, epoch: int) -> np.ndarray:
        """Return the audio samples of items of an epoch, int64."""
        repeats, rows = np.divmod(items, len(self.table))
        samples = self.samples(epoch)[rows]
        again = repeats > 0
        if self.augmentation.changing_lengths and again.any():
            samples[again] = self.augmentation.samples(self.table.select(rows[again]), epoch, repeats[again])
        return samples

    def samples(self, epoch: int) -> np.ndarray:
        """Return the audio samples of every utterance of `table`, as it first comes in an epoch, int64."""
        if not self.augmentation.changing_lengths:
            return self.table.samples
        if epoch not in self._samples:
            while len(self._samples) >= _EPOCHS_KEPT:
                del self._samples[next(iter(self._samples))]
            self._samples[epoch] = self.augmentation.samples(self.table, epoch)
        return self._samples[epoch]

    def at(self, position: Position) -> np.ndarray:
        """Return the batch at `position`: items, int64.

        Raises:
            DataError: the epoch has no such batch, because `position` belongs to another plan.
        """
        batches = self.batches(position.epoch)
        if not 0 <= position.batch < len(batches):
            raise DataError(
                f"{self.language}: batch {position.batch} of epoch {position.epoch} does not exist, the epoch has "
                f"{len(batches)} batches",
                fix=(
                    "the shards, run.seed, optim.batch_seconds, data.window_shards, data.max_seconds or balance differ "
                    "from those of the checkpoint: restore them, or train the language from scratch"
                ),
            )
        return batches[position.batch]

    def next(self, position: Position) -> Position:
        """Return the position after `position`; after the last batch of an epoch comes the first of the next."""
        if position.batch + 1 < len(self.batches(position.epoch)):
            return Position(position.epoch, position.batch + 1)
        return Position(position.epoch + 1, 0)

    def back(self, position: Position, batches: int) -> Position:
        """Return the position `batches` batches before `position`, across epochs.

        Raises:
            ValueError: that would be before the start of the stream.
        """
        epoch, batch = position.epoch, position.batch - batches
        while batch < 0:
            epoch -= 1
            if epoch < 0:
                raise ValueError(f"{self.language}: {batches} batches before {position} the stream had not begun")
            batch += len(self.batches(epoch))
        return Position(epoch, batch)

    def progress(self, position: Position) -> float:
        """Return the number of epochs completed at `position`, as a real number."""
        return position.epoch + position.batch / len(self.batches(position.epoch))

    @cached_property
    def fingerprint(self) -> str:
        """Digest of everything the plans depend on. As long as it is equal, a `Position` means the same batch."""
        digest = hashlib.blake2b(digest_size=16)
        settings = (PLAN_VERSION, self.seed, self.language, float(self.batch_seconds), self.window_shards)
        digest.update(repr(settings).encode())
        if self.augmentation.changing_lengths:
            digest.update(repr(self.augmentation.changing_lengths).encode())
        if self.selection is not None:
            digest.update(self.selection.identity())
        for column in (self.table.rows, self.table.shard, self.table.samples):
            digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        return digest.hexdigest()
