"""The progress of a language: everything a checkpoint holds apart from its weights and moments.

Its best scores decide when it stops early.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mms_dist.config import Stopping
from mms_dist.data.stream import Position

ACTIVE, FINISHED, QUARANTINED = "active", "finished", "quarantined"
MAY_BE_NEGATIVE = ("admitted_round",)
"""Fields that may be negative. `admitted_round` moves with `round` if a language resumes at an earlier round than its
checkpoint's."""


@dataclass
class BestSoFar:
    """The best dev scores of a language over its evaluations, as fractions (0.1 is 10 %)."""

    initial: float | None = None
    cer: float | None = None
    wer: float | None = None
    step: int = 0
    stale: int = 0
    """Evaluations since the last one that improved by more than `min_improvement`."""
    mark: float | None = None
    """CER of that evaluation. The next improvement must be more than `min_improvement` below it."""

    def record(self, step: int, cer: float, wer: float, stopping: Stopping) -> bool:
        """Record an evaluation; return True if it is the best so far."""
        if self.mark is None or cer < self.mark - stopping.min_improvement:
            self.mark, self.stale = cer, 0
        else:
            self.stale += 1
        if self.cer is not None and cer >= self.cer:
            return False
        self.initial = cer if self.initial is None else self.initial
        self.cer, self.wer, self.step = cer, wer, step
        return True

    def reason_to_stop(self, stopping: Stopping) -> str | None:
        """Return `target` or `early_stop`, or None to continue."""
        if stopping.target_cer is not None and self.cer is not None and self.cer <= stopping.target_cer:
            return "target"
        if stopping.patience is not None and self.stale >= stopping.patience:
            return "early_stop"
        return None


@dataclass(kw_only=True)
class Progress:
    """A language's step and round numbers, data position and results.

    `round` is the round of the run after which this state holds; `admitted_round` is the last round before the language
    took part. A language takes one optimizer batch per round, so these two and `position` give its stream position at
    any round.
    """

    language: str
    status: str = ACTIVE
    reason: str | None = None
    """Why it ended: `steps`, `target`, `early_stop`, or why it was quarantined."""
    step: int = 0
    round: int = 0
    admitted_round: int = 0
    position: Position = field(default_factory=Position)
    best: BestSoFar = field(default_factory=BestSoFar)
    unread_batches: int = 0
    """Consecutive batches in which no utterance could be read."""
    utterances: int = 0
    """Utterances trained on, including repetitions."""
    audio_seconds: float = 0.0
    """Audio of these utterances."""

    def to_state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint's state.json."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Progress":
        """Read the progress from a checkpoint's state.

        Raises:
            KeyError, TypeError: a field is missing or has a wrong type.
        """
        values = {name: state[name] for name in cls.__dataclass_fields__}
        progress = cls(**values | {"position": Position(**state["position"]), "best": BestSoFar(**state["best"])})
        for each in (progress, progress.position, progress.best):
            _check_types(each)
        if progress.status not in (ACTIVE, FINISHED, QUARANTINED):
            raise TypeError(f"found the status {progress.status!r}")
        return progress


def _check_types(record: Any) -> None:
    for each in fields(record):
        value = getattr(record, each.name)
        kind: Any = each.type
        if kind in (int, float, float | None) and isinstance(value, bool):
            raise TypeError(f"found {each.name} {value!r}")
        if not isinstance(value, kind) and not (kind in (float, float | None) and isinstance(value, int)):
            raise TypeError(f"found {each.name} {value!r}")
        least = -(2**63) if each.name in MAY_BE_NEGATIVE else 0
        if kind is int and not least <= value < 2**63:
            raise TypeError(f"found {each.name} {value!r}")
