"""How far a language has come: everything of it that a checkpoint holds beside its row and moments."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mms_dist.data.stream import Position
from mms_dist.training.stopping import BestSoFar

ACTIVE, FINISHED, QUARANTINED = "active", "finished", "quarantined"


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
        values = {name: state[name] for name in cls.__dataclass_fields__}
        return cls(**values | {"position": Position(**state["position"]), "best": BestSoFar(**state["best"])})
