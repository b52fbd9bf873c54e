"""The reports that the training loop sends to the monitor, as plain values.

Error rates are fractions (0.25, not 25). Durations are seconds of wall-clock time unless the name says audio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class ErrorRates(Protocol):
    """The part of an evaluation's result that the monitor uses."""

    @property
    def cer(self) -> float:
        """Character error rate."""

    @property
    def wer(self) -> float:
        """Word error rate."""

    @property
    def utterances(self) -> int:
        """Number of utterances scored."""


class PlannedLanguage(Protocol):
    """The facts about a language that the monitor needs before the run starts."""

    @property
    def language(self) -> str:
        """Its code."""

    @property
    def steps(self) -> int:
        """Most optimizer steps: early stopping may end training sooner."""

    @property
    def utterances(self) -> int:
        """Number of utterances in the train split."""

    @property
    def seconds(self) -> float:
        """Audio of those utterances."""


@dataclass(slots=True, kw_only=True)
class LanguageRound:
    """One language's part of a round, after its optimizer step."""

    language: str
    step: int  # steps taken so far, including this one
    steps: int
    epoch: float  # epochs finished so far, plus the fraction of the current one
    loss: float
    lr: float
    grad_norm: float  # before clipping
    utterances: int
    audio_seconds: float


@dataclass(slots=True, kw_only=True)
class RoundReport:
    """One round of the run on this process."""

    round: int
    languages: list[LanguageRound]
    seconds: float  # of the whole round, including waiting and saving
    audio_seconds: float  # of speech trained on
    padded_seconds: float  # of audio through the model: speech and padding
    data_wait_seconds: float = 0.0  # part of `seconds` spent waiting for the loader
    save_seconds: float = 0.0  # part of `seconds` spent writing checkpoints
    memory_bytes: int = 0
    waiting: int = 0  # languages not yet admitted
    finished: int = 0  # languages that have ended, including quarantined ones
    save_all_seconds: float = 0.0  # to write a checkpoint of every active language to disk
    evaluation_fraction: float = 0.0  # fraction of training time so far spent on evaluation, in this process
    compute_seconds: float = 0.0  # part of `seconds` for passes, communication and steps, until the device is done
    read_seconds: float = 0.0  # spent reading and decoding in this round, summed over the loader workers
    read_audio_seconds: float = 0.0  # of audio read in that time, including audio for later rounds
    readers: int = 1  # loader workers (threads)

    @property
    def padding_fraction(self) -> float:
        """Fraction of the model's audio that is padding."""
        return 1 - self.audio_seconds / self.padded_seconds if self.padded_seconds else 0.0


@dataclass(slots=True)
class EvaluationReport:
    """One language's error rates on its dev split. Step 0 is before training."""

    language: str
    step: int
    round: int
    scores: ErrorRates
    best: bool  # the lowest CER of this language so far
    samples: Sequence[tuple[str, str]] = field(default_factory=list)  # a few (reference, hypothesis)
    audio: Sequence[np.ndarray] = field(default_factory=list)  # of the samples: int16 at 16 kHz; before training only
