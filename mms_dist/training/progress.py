"""How far a language has come: everything of it that a checkpoint holds beside its row and moments."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mms_dist.data.stream import Position
from mms_dist.training.stopping import BestSoFar

ACTIVE, FINISHED, QUARANTINED = "active", "finished", "quarantined"
MAY_BE_NEGATIVE = ("admitted_round",)
"""It is moved back with `round` where a language goes on at an earlier round than that of its checkpoint."""


@dataclass
class Progress:
    """A language's clock, place in its data and results.

    `round` is the round of the run after which this holds; `admitted_round` the last round before the language
    took part. A language takes one optimizer batch a round, so the two together with `position` tell where its
    stream stood at any round.
    """

    language: str
    status: str = ACTIVE
    reason: str | None = None
    """Why it ended: `steps`, `target`, `early_stop`, or what was not finite."""
    step: int = 0
    round: int = 0
    admitted_round: int = 0
    position: Position = field(default_factory=Position)
    best: BestSoFar = field(default_factory=BestSoFar)
    unread_batches: int = 0
    """Batches in a row of which no utterance could be read."""
    utterances: int = 0
    """Utterances trained on, repetitions counted."""
    audio_seconds: float = 0.0
    """Their audio."""

    def to_state(self) -> dict[str, Any]:
        """Plain values for a checkpoint's state.json."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Progress":
        """The progress that a checkpoint's state tells of.

        Raises:
            KeyError, TypeError: it tells of something else.
        """
        values = {name: state[name] for name in cls.__dataclass_fields__}
        progress = cls(**values | {"position": Position(**state["position"]), "best": BestSoFar(**state["best"])})
        for each in (progress, progress.position, progress.best):
            _check_kinds(each)
        if progress.status not in (ACTIVE, FINISHED, QUARANTINED):
            raise TypeError(f"found the status {progress.status!r}")
        return progress


def _check_kinds(record: Any) -> None:
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
