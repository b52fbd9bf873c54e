"""Requests to the loader, and the batches it returns."""

import math
from dataclasses import dataclass, field

import numpy as np

from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from shards.schema import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A request for one optimizer batch of a language's stream."""

    language: str
    position: Position


@dataclass(frozen=True, slots=True)
class FeatureKey:
    """The key of an utterance's front-end features: its identity, and the changes made to its audio."""

    utterance: UtteranceId
    waveform: int


@dataclass(slots=True, kw_only=True)
class Utterance:
    """A decoded recording with its transcript, in one epoch of training.

    Attributes:
        id: unique identity.
        key: human-readable name in the shards; not unique.
        epoch: epoch of the language's stream; with the seed and `id` it determines all randomness.
        audio: int16 [samples] at 16 kHz.
        labels: vocabulary ids of the transcript, int32 [labels].
        text: transcript.
        frames: output frames of the model's front end.
        waveform: 0 for the unchanged recording; code that changes the audio sets it to a number for that change.
            Equal numbers mean equal audio, so front-end features can be cached by it. None if this audio never comes
            again.
        repeat: how often it has come before in the epoch (see `EpochSelection`).
        weight: weight of its loss, relative to the largest of its batch.
    """

    id: UtteranceId
    key: str
    epoch: int
    audio: np.ndarray
    labels: np.ndarray
    text: str
    frames: int
    waveform: int | None = 0
    repeat: int = 0
    weight: float = 1.0

    @property
    def language(self) -> str:
        return self.id.language

    @property
    def feature_key(self) -> FeatureKey | None:
        """The key under which its front-end features are cached; None if they are not."""
        return None if self.waveform is None else FeatureKey(self.id, self.waveform)


@dataclass(frozen=True, slots=True)
class DamagedSample:
    """An utterance that was planned but could not be read; it is skipped, and the rest of the plan is unchanged."""

    id: UtteranceId
    key: str
    shard: str
    reason: str


@dataclass(slots=True)
class LoadedBatch:
    """The utterances of a request in the order of the plan, and separately the damaged ones.

    `planned` is the size of the whole optimizer batch, including damaged utterances and those in other owners' shares.
    None if `utterances` is the whole batch. `planned_weight` is the sum of the weights of all of them; None if they
    count alike.
    """

    request: BatchRequest
    utterances: list[Utterance] = field(default_factory=list)
    damaged: list[DamagedSample] = field(default_factory=list)
    planned: int | None = None
    planned_weight: float | None = None

    @property
    def size(self) -> int:
        """Number of utterances that the language's loss is averaged over."""
        return len(self.utterances) if self.planned is None else self.planned

    @property
    def weight(self) -> float:
        """Sum of the weights of these utterances: what the sum of their weighted losses is divided by."""
        return float(self.size) if self.planned_weight is None else self.planned_weight

    @property
    def read_weight(self) -> float | None:
        """Sum of the weights of those in `utterances`; None if they count alike."""
        if self.planned_weight is None:
            return None
        return math.fsum(utterance.weight for utterance in self.utterances)

    @property
    def audio_samples(self) -> int:
        return sum(len(utterance.audio) for utterance in self.utterances)

    @property
    def audio_seconds(self) -> float:
        """Audio of the utterances, without padding."""
        return self.audio_samples / SAMPLE_RATE
