"""The debug report as plain values: sections to read, and checks that pass or fail."""

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
TENSOR_KINDS = ("norm", "down", "up", "head")
"""Kinds of tensors: the adapter's layer norm, its two projections, and the CTC head."""
NEEDS_TWO_LANGUAGES = "needs two languages: add one with --languages"


@dataclass(frozen=True)
class Check:
    """The result of a check on the user's own model and data.

    `invariant` is the design's name (`I2`), or a keyword for checks without one; `measured` is the measured value and
    its bound.
    """

    invariant: str
    claim: str
    status: str
    measured: str


@dataclass(frozen=True, kw_only=True)
class LanguageLine:
    """A language of the plan; `left_out` counts utterances that are too long or whose transcript does not fit."""

    language: str
    utterances: int
    seconds: float
    left_out: int
    tokens: int
    steps_planned: int
    batches_an_epoch: int
    batch_utterances: int
    batch_seconds: float
    """Audio of the debugged batch; `batch_utterances` counts its utterances."""


@dataclass(frozen=True)
class RoundLine:
    """A trained round: each language's mean loss, and its gradient norm before clipping."""

    round: int
    losses: dict[str, float]
    grad_norms: dict[str, float]
    seconds: float
    audio_seconds: float
    padding_fraction: float


@dataclass(frozen=True)
class Stage:
    """A tensor at one stage of the model."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str


@dataclass(frozen=True)
class RouteLine:
    """The slot and head of an utterance in the forward pass; `row` is its row in the whole table of the train split."""

    key: str
    row: int
    language: str
    seconds: float
    frames: int
    required_frames: int
    slot: int
    head: int


@dataclass(frozen=True)
class MemoryLine:
    """The bytes of one item in memory."""

    name: str
    bytes: int
    meaning: str


@dataclass(frozen=True)
class GradientLine:
    """A language's parameters and gradient: norms by kind of tensor, and tensors whose gradient is zero everywhere."""

    language: str
    parameters: int
    file_bytes: int
    norms: dict[str, float]
    clip_factor: float
    tensors: int
    zero: list[str]


@dataclass(frozen=True)
class TranscriptLine:
    """A transcript, its label ids, and the text that they decode to; `row` as in `RouteLine`."""

    language: str
    key: str
    row: int
    text: str
    ids: list[int]
    decoded: str
    unknown: int


@dataclass(frozen=True)
class OverfitPoint:
    """Each language's loss and CER on its few utterances after `step` steps."""

    step: int
    losses: dict[str, float]
    cers: dict[str, float]


@dataclass(kw_only=True)
class DebugReport:
    """The whole report, in the order in which it is printed."""

    config: str
    base: str
    device: str
    dtype: str
    run_languages: int
    run_utterances: int
    run_seconds: float
    languages: list[LanguageLine] = field(default_factory=list)
    rounds: list[RoundLine] = field(default_factory=list)
    shapes: list[Stage] = field(default_factory=list)
    route: list[RouteLine] = field(default_factory=list)
    memory: list[MemoryLine] = field(default_factory=list)
    gradients: list[GradientLine] = field(default_factory=list)
    transcripts: list[TranscriptLine] = field(default_factory=list)
    overfit: list[OverfitPoint] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, status: str) -> int:
        return sum(check.status == status for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; numbers that are not finite become None, because JSON cannot hold them."""
        return {name: _finite(value) for name, value in asdict(self).items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def verdict(invariant: str, claim: str, holds: bool, measured: str) -> Check:
    """Return the result of a check that ran."""
    return Check(invariant, claim, PASSED if holds else FAILED, measured)


def needs_two_languages(invariant: str, claim: str) -> Check:
    """Return the result of a check that cannot run with a single language."""
    return Check(invariant, claim, NOT_RUN, NEEDS_TWO_LANGUAGES)
