"""What is asked of the loader, and what it gives."""

from dataclasses import dataclass, field

import numpy as np

from mms_dist.data.stream import Position
from mms_dist.data.utterance_id import UtteranceId
from shards.schema import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One optimizer batch of one language's stream."""

    language: str
    position: Position


@dataclass(frozen=True, slots=True)
class FeatureKey:
    """Everything of an utterance that its front-end features depend on: which it is, and what was done to its audio."""

    utterance: UtteranceId
    waveform: int


@dataclass(slots=True)
class Utterance:
    """A recording with its transcript, decoded, as one epoch of training meets it.

    Attributes:
        id: what tells it apart from all others.
        key: its name in the shards, for people; others may have the same.
        epoch: epoch of the language's stream; with the seed and `id` it keys all randomness.
        audio: int16 [samples] at 16 kHz.
        labels: vocabulary ids of the transcript, int32 [labels].
        text: transcript.
        frames: output frames of the model's front end.
        waveform: 0 for the recording as it is; whatever changes the audio sets it to a number that says how. Equal
            ones mean equal audio, so that front-end features can be remembered.
    """

    id: UtteranceId
    key: str
    epoch: int
    audio: np.ndarray
    labels: np.ndarray
    text: str
    frames: int
    waveform: int = 0

    @property
    def language(self) -> str:
        return self.id.language

    @property
    def feature_key(self) -> FeatureKey:
        """What its front-end features are remembered by."""
        return FeatureKey(self.id, self.waveform)


@dataclass(frozen=True, slots=True)
class DamagedSample:
    """An utterance that was planned but could not be read; it is left out, and nothing else moves."""

    id: UtteranceId
    key: str
    shard: str
    reason: str


@dataclass(slots=True)
class LoadedBatch:
    """The utterances of a request in the order of the plan, without the damaged ones, which are named.

    `planned` is the size of the whole optimizer batch: utterances of other owners' shares and damaged ones included.
    None if the utterances at hand are all there are.
    """

    request: BatchRequest
    utterances: list[Utterance] = field(default_factory=list)
    damaged: list[DamagedSample] = field(default_factory=list)
    planned: int | None = None

    @property
    def size(self) -> int:
        """Utterances over which the language's loss is a mean."""
        return len(self.utterances) if self.planned is None else self.planned

    @property
    def audio_samples(self) -> int:
        return sum(len(utterance.audio) for utterance in self.utterances)

    @property
    def audio_seconds(self) -> float:
        """Audio of the utterances, padding not counted."""
        return self.audio_samples / SAMPLE_RATE
