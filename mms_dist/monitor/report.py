"""What the training loop tells the monitor: plain values, measured by whoever did the work.

Error rates are fractions (0.25, not 25). Durations are seconds of wall clock unless the name says audio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class ErrorRates(Protocol):
    """What the monitor needs of an evaluation's result."""

    @property
    def cer(self) -> float:
        """Character error rate."""

    @property
    def wer(self) -> float:
        """Word error rate."""

    @property
    def utterances(self) -> int:
        """How many were scored."""


@dataclass(frozen=True, slots=True)
class LanguagePlan:
    """A language of this run, before it starts."""

    language: str
    steps: int  # at most: early stopping may end it sooner
    utterances: int = 0  # for training
    audio_seconds: float = 0.0  # of those utterances


@dataclass(slots=True)
class LanguageRound:
    """One language's part of a round, after its optimizer step."""

    language: str
    step: int  # steps taken so far, this one included
    steps: int
    epoch: float  # epochs finished so far, with the fraction of the current one
    loss: float
    lr: float
    grad_norm: float  # before clipping
    utterances: int
    audio_seconds: float


@dataclass(slots=True)
class RoundReport:
    """One round of the run on this process."""

    round: int
    languages: list[LanguageRound]
    seconds: float  # of the whole round, waiting and saving included
    audio_seconds: float  # of speech trained on
    padded_seconds: float  # of audio that passed through the model: speech and padding
    data_wait_seconds: float = 0.0  # of `seconds`, waiting for the loader
    save_seconds: float = 0.0  # of `seconds`, writing checkpoints
    memory_bytes: int = 0
    waiting: int = 0  # languages not yet admitted
    finished: int = 0  # languages that are done, quarantined ones included
    save_all_seconds: float = 0.0  # that a checkpoint of every active language would take until it is on the disk
    evaluation_fraction: float = 0.0  # of the time since this process began to train, evaluating
    compute_seconds: float = 0.0  # of `seconds`, passes, exchange and steps, until the device was done
    read_seconds: float = 0.0  # of the loader's threads together, reading and decoding meanwhile
    read_audio_seconds: float = 0.0  # what they read in it, for later rounds as well
    readers: int = 1  # threads of the loader

    @property
    def padding_fraction(self) -> float:
        """The share of the model's audio that was padding."""
        return 1 - self.audio_seconds / self.padded_seconds if self.padded_seconds else 0.0


@dataclass(slots=True)
class EvaluationReport:
    """One language's error rates on its dev split. Step 0 is the language before training."""

    language: str
    step: int
    round: int
    scores: ErrorRates
    best: bool  # the lowest CER of this language so far
    samples: Sequence[tuple[str, str]] = field(default_factory=list)  # a few (reference, hypothesis)
